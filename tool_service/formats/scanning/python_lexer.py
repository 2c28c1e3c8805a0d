"""A lexer of keyword arguments that are Python literals, as in `f(city='SF', days=3)`. It is pushed text in pieces.

    state       a character leads to
    ARGUMENT    a letter ─▶ KEYWORD   ) ends the arguments
    KEYWORD     the first character that cannot belong to it ─▶ EQUALS
    EQUALS      = ─▶ VALUE
    VALUE       ' or " ─▶ OPENING   [ ( ─▶ ITEM   { ─▶ KEY   a sign, point or digit ─▶ NUMBER   a letter ─▶ WORD
    ITEM        as VALUE, or the closing bracket ─▶ AFTER
    KEY         ' or " ─▶ OPENING (a key), or } ─▶ AFTER
    COLON       : ─▶ VALUE
    OPENING     the second and third character tell ' from '' from ''': ─▶ STRING, or an empty string: ─▶ AFTER
    STRING      its quote seals it, or ─▶ CLOSING   \\ ─▶ ESCAPE
    CLOSING     the third quote of ''' seals it: ─▶ COLON after a key, ─▶ AFTER a value; fewer are the string's
    ESCAPE      back ─▶ STRING once the whole escape is there, both halves of a surrogate pair included
    NUMBER      the first character that cannot belong to it ─▶ AFTER
    WORD        the same
    AFTER       , ─▶ ARGUMENT, ITEM or KEY   the closing bracket ─▶ AFTER, or ends the arguments
    SKIPPED     ' or " ─▶ OPENING   ( and ) are counted; the ) that is the call's ends the arguments
    DONE        what follows belongs to the caller

What is no keyword with a literal that has a JSON value ends in SKIPPED: the sink is told why, and from there on only
strings and parentheses are followed (not the other brackets: one too many of those must not swallow the next call).
Strings are read there as everywhere, but nothing of them is kept. Unlike in Python, a string of one line may hold line
feeds, which small models write.

An argument is complete only with the comma or parenthesis behind it, for `"a" + b` begins like `"a"`.
"""

import re
from collections.abc import Callable
from enum import Enum, auto
from math import isinf

from tool_service.formats.scanning.json_call import ArgumentsSink
from tool_service.formats.scanning.json_lexer import (
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_NUMBER_CHARACTERS,
    NOT_FINITE,
    TOO_DEEP,
    TOO_LONG_A_KEY,
    TOO_MANY_DIGITS,
    TWICE,
    Sink,
)
from tool_service.formats.scanning.open_string import OpenString

MAX_KEYWORD = 128

NOT_PYTHON = "the arguments are not keywords with Python literals: "
LONE = "a lone surrogate in a string"


class PythonArgumentsSink(ArgumentsSink):
    """Takes the tokens of a call's keyword arguments."""

    def spoil(self, reason: str) -> None:
        """The call can't run."""
        self._call.malform(NOT_PYTHON + reason)


class _State(Enum):
    __hash__ = object.__hash__  # of the Enum class it is a Python function, and each step looks its state up
    ARGUMENT = auto()
    KEYWORD = auto()
    EQUALS = auto()
    VALUE = auto()
    ITEM = auto()
    KEY = auto()
    COLON = auto()
    OPENING = auto()
    STRING = auto()
    CLOSING = auto()
    ESCAPE = auto()
    NUMBER = auto()
    WORD = auto()
    AFTER = auto()
    SKIPPED = auto()
    DONE = auto()


class _Container:
    """An open list, tuple or dict."""

    __slots__ = ("closer", "comma", "empty", "keys")

    def __init__(self, closer: str) -> None:
        self.closer = closer
        self.keys: set[str] = set()
        self.empty = True
        self.comma = False


_BLANKS = re.compile(r"[ \t\r\n]*")
_KEYWORD_RUN = re.compile(r"[\w.\-]*")
_WORD_RUN = re.compile(r"\w*")
_NUMBER_RUN = re.compile(r"[\w.+\-]*")
_SKIP_STOP = re.compile("[()'\"]")
_STRING_STOPS = {"'": re.compile("['\\\\\ud800-\udfff]"), '"': re.compile('["\\\\\ud800-\udfff]')}

# Nothing in these can match the same text in two ways.
_DIGITS = "[0-9](?:_?[0-9])*"
_INTEGER = re.compile(
    r"[+-]?(?:0(?:_?0)*|[1-9](?:_?[0-9])*|0[xX](?:_?[0-9a-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+)"
)
_FLOAT = re.compile(rf"[+-]?(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?")
_TOO_BIG = 10**MAX_DIGITS

_WORDS: dict[str, bool | None] = {
    "True": True,
    "False": False,
    "None": None,
    "true": True,
    "false": False,
    "null": None,
}
_BRACKETS = {"[": "]", "(": ")", "{": "}"}
_SIMPLE_ESCAPES = {
    "\n": "",
    "\\": "\\",
    "'": "'",
    '"': '"',
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
}
_HEX_LENGTHS = {"x": 4, "u": 6, "U": 10}  # of the whole escape
_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")
_OCTAL_DIGITS = frozenset("01234567")
_PAIR = 12  # characters of two escapes that stand for one character


class PythonLexer:
    """Reads the arguments of one call into `sink`, from behind its `(` to its `)`, which it tells by `close_object`."""

    def __init__(self, sink: Sink) -> None:
        self.failed = False
        self._sink = sink
        self._state = _State.ARGUMENT
        self._containers: list[_Container] = []
        self._parens = 1  # open ones, while SKIPPED
        self._finish: Callable[[], None] = _nothing  # says that the argument is complete
        self._quote = ""
        self._stop = _STRING_STOPS["'"]
        self._triple = False
        self._quotes = 0  # of the quotes that open or may close a string
        self._string = OpenString()
        self._partial = ""  # the open keyword, escape, number or word, as written

    @property
    def done(self) -> bool:
        """Whether the call's `)` was read."""
        return self._state is _State.DONE

    def feed(self, text: str, pos: int = 0) -> int:
        """Reads on from `pos`; gives the index of the first character that is not the arguments'."""
        end, done = len(text), _State.DONE
        while pos < end and self._state is not done:
            pos = _STEPS[self._state](self, text, pos, end)
        self._say_growth()
        return pos

    def _fail(self, pos: int, reason: str) -> int:
        """The call is wrong; what is left of it is skipped from `pos` on."""
        self._say_growth()
        self._parens = 1 + sum(container.closer == ")" for container in self._containers)
        self._containers.clear()
        self._string.take()
        self.failed, self._state = True, _State.SKIPPED
        self._sink.spoil(reason)
        return pos

    def _fail_in_string(self, pos: int, reason: str, state: _State = _State.STRING) -> int:
        self._fail(pos, reason)
        self._state = state
        return pos

    # Arguments

    def _argument(self, text: str, pos: int, end: int) -> int:
        pos = _skip_blanks(text, pos, end)
        if pos == end:
            return pos
        if text[pos] == ")":
            return self._close_arguments(pos)
        if not (text[pos].isalpha() or text[pos] == "_"):
            return self._fail(pos, "a keyword was expected")
        self._partial, self._state = "", _State.KEYWORD
        return pos

    def _keyword(self, text: str, pos: int, end: int) -> int:
        stop = self._run(_KEYWORD_RUN, text, pos, end, MAX_KEYWORD)
        if len(self._partial) > MAX_KEYWORD:
            return self._fail(stop, f"a keyword of more than {MAX_KEYWORD} characters")
        if stop < end:
            self._state = _State.EQUALS
        return stop

    def _run(self, pattern: re.Pattern[str], text: str, pos: int, end: int, most: int) -> int:
        """Reads on in what `pattern` matches, and keeps one character more of it than it may have."""
        match = pattern.match(text, pos, end)
        stop = match.end() if match else pos
        self._partial += text[pos : min(stop, pos + most + 1 - len(self._partial))]
        return stop

    def _equals(self, text: str, pos: int, end: int) -> int:
        pos = _skip_blanks(text, pos, end)
        if pos == end:
            return pos
        if text[pos] != "=":
            return self._fail(pos, "an argument without a keyword")
        self._sink.key(self._partial)
        self._state = _State.VALUE
        return pos + 1

    def _close_arguments(self, pos: int) -> int:
        self._state = _State.DONE
        self._sink.close_object()
        return pos + 1

    # Values

    def _value(self, text: str, pos: int, end: int) -> int:
        pos = _skip_blanks(text, pos, end)
        if pos == end:
            return pos
        char = text[pos]
        if char in "'\"":
            self._sink.open_string()
            return self._open_quote(char, pos, in_key=False)
        if char in _BRACKETS:
            return self._open_container(char, pos)
        self._partial = ""
        if char in "+-." or "0" <= char <= "9":
            self._state = _State.NUMBER
        elif char.isalpha():
            self._state = _State.WORD
        else:
            return self._fail(pos, "a literal was expected")
        return pos

    def _item(self, text: str, pos: int, end: int) -> int:
        pos = _skip_blanks(text, pos, end)
        if pos < end and text[pos] == self._containers[-1].closer:
            return self._close_container(pos)
        return self._value(text, pos, end)

    def _key(self, text: str, pos: int, end: int) -> int:
        pos = _skip_blanks(text, pos, end)
        if pos == end:
            return pos
        if text[pos] == "}":
            return self._close_container(pos)
        if text[pos] not in "'\"":
            return self._fail(pos, "a dict's key that is no string, or a set")
        return self._open_quote(text[pos], pos, in_key=True)

    def _colon(self, text: str, pos: int, end: int) -> int:
        pos = _skip_blanks(text, pos, end)
        if pos == end:
            return pos
        if text[pos] != ":":
            return self._fail(pos, "a colon was expected")
        self._state = _State.VALUE
        return pos + 1

    def _after(self, text: str, pos: int, end: int) -> int:
        pos = _skip_blanks(text, pos, end)
        if pos == end:
            return pos
        if text[pos] == (self._containers[-1].closer if self._containers else ")"):
            return self._close_container(pos) if self._containers else self._close_last_argument(pos)
        if text[pos] != ",":
            return self._fail(pos, "a comma or a closing bracket was expected")
        if not self._containers:
            self._finish()
            self._state = _State.ARGUMENT
        else:
            self._containers[-1].comma = True
            self._state = _State.KEY if self._containers[-1].closer == "}" else _State.ITEM
        return pos + 1

    def _close_last_argument(self, pos: int) -> int:
        self._finish()
        return self._close_arguments(pos)

    def _open_container(self, char: str, pos: int) -> int:
        if len(self._containers) >= MAX_DEPTH - 1:  # the arguments are the first level
            return self._fail(pos, TOO_DEEP)
        self._containers.append(_Container(_BRACKETS[char]))
        if char == "{":
            self._state = _State.KEY
            self._sink.open_object()
        else:
            self._state = _State.ITEM
            self._sink.open_array()
        return pos + 1

    def _close_container(self, pos: int) -> int:
        container = self._containers[-1]
        if container.closer == ")" and not container.empty and not container.comma:
            return self._fail(pos, "a value in parentheses")
        self._containers.pop()
        self._complete(self._sink.close_object if container.closer == "}" else self._sink.close_array)
        return pos + 1

    def _complete(self, say: Callable[[], None]) -> None:
        """A value is complete; an argument's is said only with what follows it."""
        self._state = _State.AFTER
        if self._containers:
            self._containers[-1].empty = False
            say()
        else:
            self._finish = say

    def _number(self, text: str, pos: int, end: int) -> int:
        stop = self._run(_NUMBER_RUN, text, pos, end, MAX_NUMBER_CHARACTERS)
        return stop if stop == end else self._close_number(stop)

    def _close_number(self, pos: int) -> int:
        written = self._partial
        if sum(map(str.isdigit, written)) > MAX_DIGITS or len(written) > MAX_NUMBER_CHARACTERS:
            return self._fail(pos, TOO_MANY_DIGITS)
        value = _read_number(written)
        if value is None:
            return self._fail(pos, "a wrong number")
        if isinstance(value, float) and isinf(value):
            return self._fail(pos, NOT_FINITE)
        if isinstance(value, int) and abs(value) >= _TOO_BIG:
            return self._fail(pos, TOO_MANY_DIGITS)
        self._complete(_Scalar(self._sink, value, len(written)))
        return pos

    def _word(self, text: str, pos: int, end: int) -> int:
        stop = self._run(_WORD_RUN, text, pos, end, max(map(len, _WORDS)))
        if stop == end and any(word.startswith(self._partial) for word in _WORDS):
            return stop
        if self._partial not in _WORDS:
            return self._fail(stop, "a name or an expression")
        self._complete(_Scalar(self._sink, _WORDS[self._partial], len(self._partial)))
        return stop

    # Strings

    def _open_quote(self, quote: str, pos: int, *, in_key: bool) -> int:
        self._quote, self._stop, self._quotes, self._triple = quote, _STRING_STOPS[quote], 1, False
        self._string.begin(in_key=in_key)
        self._state = _State.OPENING
        return pos + 1

    def _opening(self, text: str, pos: int, end: int) -> int:
        if text[pos] == self._quote:
            self._quotes += 1
            self._triple = self._quotes == 3
            self._state = _State.STRING if self._triple else _State.OPENING
            return pos + 1
        if self._quotes == 2:
            self._close_string(pos)
        else:
            self._state = _State.STRING
        return pos

    def _string_run(self, text: str, pos: int, end: int) -> int:
        stop = self._stop.search(text, pos, end)
        cut = stop.start() if stop else end
        if cut > pos:
            self._add(text[pos:cut])
        if stop is None:
            return end
        if stop[0] == self._quote:
            return self._read_quote(cut + 1)
        if stop[0] != "\\":
            return cut + 1 if self.failed else self._fail_in_string(cut + 1, LONE)
        if cut + 1 < end and text[cut + 1] in _SIMPLE_ESCAPES:
            self._add(_SIMPLE_ESCAPES[text[cut + 1]])
            return cut + 2
        self._partial, self._state = "\\", _State.ESCAPE
        return cut + 1

    def _read_quote(self, pos: int) -> int:
        if self._triple:
            self._quotes, self._state = 1, _State.CLOSING
        else:
            self._close_string(pos)
        return pos

    def _closing(self, text: str, pos: int, end: int) -> int:
        if text[pos] != self._quote:
            self._add(self._quote * self._quotes)
            self._state = _State.STRING
            return pos
        self._quotes += 1
        if self._quotes == 3:
            self._close_string(pos + 1)
        return pos + 1

    def _add(self, decoded: str) -> None:
        """Adds to the open string; nothing of a call that is skipped."""
        if decoded and not self.failed:
            self._string.add(decoded)

    def _say_growth(self) -> None:
        if growth := self._string.growth():
            self._sink.grow_string(growth)

    def _close_string(self, pos: int) -> None:
        if self.failed:
            self._state = _State.SKIPPED
            return
        self._say_growth()
        value = self._string.take()
        if self._string.in_key:
            self._close_key(value, pos)
        else:
            self._complete(_String(self._sink, value))

    def _close_key(self, name: str, pos: int) -> None:
        again = name in self._containers[-1].keys and not self._sink.last_counts
        if self._string.too_long or again:
            self._fail(pos, TOO_LONG_A_KEY if self._string.too_long else TWICE)
            return
        self._containers[-1].keys.add(name)
        self._state = _State.COLON
        self._sink.key(name)

    # Escapes

    def _escape(self, text: str, pos: int, end: int) -> int:
        if self.failed:  # whatever it is, it does not end the string
            self._state = _State.STRING
            return pos + 1
        char, kind = text[pos], self._partial[1:2]
        if not kind:
            return self._begin_escape(char, pos)
        if kind in _OCTAL_DIGITS:
            return self._octal(char, pos)
        if kind == "\r":  # a line may end in two characters
            return self._decoded("", pos + 1 if char == "\n" else pos)
        return self._hexadecimal(char, pos)

    def _begin_escape(self, char: str, pos: int) -> int:
        if char == "N":
            return self._fail_in_string(pos, "an escape by a character's name")
        if char in _HEX_LENGTHS or char in _OCTAL_DIGITS or char == "\r":
            self._partial += char
            return pos + 1
        if char in _SIMPLE_ESCAPES:
            return self._decoded(_SIMPLE_ESCAPES[char], pos + 1)
        return self._decoded("\\", pos)  # no escape: Python keeps the backslash

    def _octal(self, char: str, pos: int) -> int:
        if char not in _OCTAL_DIGITS:
            return self._decoded(chr(int(self._partial[1:], 8)), pos)
        self._partial += char
        return self._decoded(chr(int(self._partial[1:], 8)), pos + 1) if len(self._partial) == 4 else pos + 1

    def _hexadecimal(self, char: str, pos: int) -> int:
        written = self._partial
        if len(written) in (6, 7) and written[1] == "u":  # between the halves of a surrogate pair
            if char != "\\u"[len(written) - 6]:
                # The backslash was read, so that what follows it does not end the string.
                return self._fail_in_string(pos, LONE, _State.STRING if len(written) == 6 else _State.ESCAPE)
        elif char not in _HEX_DIGITS:
            return self._fail_in_string(pos, "a wrong escape in a string")
        self._partial = written = written + char
        if len(written) not in (_HEX_LENGTHS[written[1]], _PAIR):
            return pos + 1
        return self._close_hexadecimal(written, pos + 1)

    def _close_hexadecimal(self, written: str, pos: int) -> int:
        code = int(written[-4:] if len(written) == _PAIR else written[2:], 16)
        if len(written) == _PAIR:
            if not 0xDC00 <= code <= 0xDFFF:
                return self._fail_in_string(pos, LONE)
            high = int(written[2:6], 16)
            return self._decoded(chr(0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00)), pos)
        if written[1] == "u" and 0xD800 <= code <= 0xDBFF:
            return pos
        if 0xD800 <= code <= 0xDFFF:
            return self._fail_in_string(pos, LONE)
        if code > 0x10FFFF:
            return self._fail_in_string(pos, "an escape of no character")
        return self._decoded(chr(code), pos)

    def _decoded(self, text: str, pos: int) -> int:
        self._add(text)
        self._partial, self._state = "", _State.STRING
        return pos

    def _skip(self, text: str, pos: int, end: int) -> int:
        stop = _SKIP_STOP.search(text, pos, end)
        if stop is None:
            return end
        if stop[0] in "'\"":
            return self._open_quote(stop[0], stop.start(), in_key=False)
        self._parens += 1 if stop[0] == "(" else -1
        if not self._parens:
            self._state = _State.DONE
        return stop.end()


class _Scalar:
    """Says a number, a boolean or None."""

    __slots__ = ("_characters", "_sink", "_value")

    def __init__(self, sink: Sink, value: int | float | bool | None, characters: int) -> None:
        self._sink, self._value, self._characters = sink, value, characters

    def __call__(self) -> None:
        self._sink.scalar(self._value, self._characters)


class _String:
    """Says that a string is complete."""

    __slots__ = ("_sink", "_value")

    def __init__(self, sink: Sink, value: str) -> None:
        self._sink, self._value = sink, value

    def __call__(self) -> None:
        self._sink.seal_string(self._value)


_STEPS: dict[_State, Callable[[PythonLexer, str, int, int], int]] = {
    _State.ARGUMENT: PythonLexer._argument,
    _State.KEYWORD: PythonLexer._keyword,
    _State.EQUALS: PythonLexer._equals,
    _State.VALUE: PythonLexer._value,
    _State.ITEM: PythonLexer._item,
    _State.KEY: PythonLexer._key,
    _State.COLON: PythonLexer._colon,
    _State.OPENING: PythonLexer._opening,
    _State.STRING: PythonLexer._string_run,
    _State.CLOSING: PythonLexer._closing,
    _State.ESCAPE: PythonLexer._escape,
    _State.NUMBER: PythonLexer._number,
    _State.WORD: PythonLexer._word,
    _State.AFTER: PythonLexer._after,
    _State.SKIPPED: PythonLexer._skip,
}


def _nothing() -> None:
    """Stands for no argument."""


def _skip_blanks(text: str, pos: int, end: int) -> int:
    match = _BLANKS.match(text, pos, end)
    return match.end() if match else pos


def _read_number(written: str) -> int | float | None:
    if _INTEGER.fullmatch(written):
        return int(written, 0)
    return float(written) if _FLOAT.fullmatch(written) else None
