"""A JSON lexer that is pushed text in pieces of any size and does work in proportion to the new text.

    state        a character leads to
    VALUE        { ─▶ FIRST_KEY   [ ─▶ FIRST_ITEM   " ─▶ STRING   - 0…9 ─▶ NUMBER   a letter ─▶ LITERAL
    FIRST_ITEM   as VALUE, or ] closes the array
    FIRST_KEY    " ─▶ STRING (a key), or } closes the object
    NEXT_KEY     " ─▶ STRING (a key)
    COLON        : ─▶ VALUE
    STRING       " seals it: ─▶ COLON after a key, ─▶ AFTER a value     \\ ─▶ ESCAPE
    ESCAPE       back ─▶ STRING once the whole escape is there, both halves of a surrogate pair included
    NUMBER       the first character that cannot belong to it seals it: ─▶ AFTER
    LITERAL      its last letter seals it: ─▶ AFTER
    AFTER        , ─▶ NEXT_KEY or VALUE, or the closing bracket ─▶ AFTER
    DONE         the top-level value is complete; what follows it belongs to the caller
    FAILED       the text is not JSON; `failure` says why, and nothing is read any more

White space is skipped between tokens. RFC 8259 is kept strictly, but for raw line feeds, carriage returns and tabs in
strings, which small models write. What has JSON's shape but no value that may be used (duplicate keys, NaN, Infinity,
numbers out of range or of more than 1000 digits, lone surrogates, control characters, nesting deeper than 128) *spoils*
the value: the sink is told, and the lexer reads on, so that it is still known where the value ends.
"""

import re
from collections.abc import Callable
from enum import Enum, auto
from math import isinf
from typing import Protocol

from tool_service.formats.events import JsonValue
from tool_service.formats.scanning.open_string import OpenString
from tool_service.formats.scanning.turn import MAX_CHARACTERS, NO_CHARACTER

MAX_DEPTH = 128
MAX_DIGITS = 1000
MAX_NUMBER_CHARACTERS = MAX_DIGITS + 16  # a sign, a point, an exponent's mark

TOO_DEEP = f"nested deeper than {MAX_DEPTH}"
TWICE = "a key appears twice in an object"
TOO_MANY_DIGITS = f"a number of more than {MAX_DIGITS} digits"
TOO_LONG_A_KEY = f"a key of more than {MAX_CHARACTERS} characters"
NOT_FINITE = "a number out of range"


class Sink(Protocol):
    """Takes the tokens of values, in order, as they are proved complete."""

    @property
    def last_counts(self) -> bool:
        """Whether a key that the open object has already may come again; else it spoils the value."""
        ...

    def open_object(self) -> None:
        """An object begins."""
        ...

    def close_object(self) -> None:
        """It ends."""
        ...

    def open_array(self) -> None:
        """An array begins."""
        ...

    def close_array(self) -> None:
        """It ends."""
        ...

    def key(self, name: str) -> None:
        """An object's key is complete."""
        ...

    def open_string(self) -> None:
        """A string value begins."""
        ...

    def grow_string(self, text: str) -> None:
        """More of the open string, decoded."""
        ...

    def seal_string(self, value: str) -> None:
        """The open string is complete."""
        ...

    def scalar(self, value: int | float | bool | None, characters: int) -> None:
        """A number, boolean or null is complete; it was written in so many characters."""
        ...

    def spoil(self, reason: str) -> None:
        """The value can't be used, though its text goes on."""
        ...


class _State(Enum):
    __hash__ = object.__hash__  # of the Enum class it is a Python function, and each step looks its state up
    VALUE = auto()
    FIRST_ITEM = auto()
    FIRST_KEY = auto()
    NEXT_KEY = auto()
    COLON = auto()
    STRING = auto()
    ESCAPE = auto()
    NUMBER = auto()
    LITERAL = auto()
    AFTER = auto()
    DONE = auto()
    FAILED = auto()


_BLANKS = re.compile(r"[ \t\r\n]*")
_STRING_STOP = re.compile('["\\\\\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]')
_NUMBER_RUN = re.compile(r"[0-9+\-.eE]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_SIMPLE_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_LITERALS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_NO_NUMBERS = ("NaN", "Infinity", "-Infinity")
_WORDS = frozenset({*_LITERALS, *_NO_NUMBERS})
_WORD_BEGINNINGS = frozenset(word[:length] for word in _WORDS for length in range(1, len(word) + 1))
_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")
_UNTRACKED: set[str] = set()  # stands for the keys of objects that are nested too deep


class JsonLexer:
    """Reads one JSON value into `sink`. `feed` it text until `done` or `failed`. The sink may be changed at any token.

    `position`: at a token, the index in the fed text just behind it.
    """

    def __init__(self, sink: Sink, max_depth: int = MAX_DEPTH) -> None:
        self.sink = sink
        self._max_depth = max_depth
        self.position = 0
        self.failure = ""
        self._state = _State.VALUE
        self._containers: list[set[str] | None] = []  # an object's keys so far, or None for an array
        self._string = OpenString()
        self._partial = ""  # the open escape, number or literal, as written

    @property
    def done(self) -> bool:
        """Whether the value is complete."""
        return self._state is _State.DONE

    @property
    def failed(self) -> bool:
        """Whether the text turned out not to be JSON."""
        return self._state is _State.FAILED

    @property
    def ended(self) -> bool:
        """Whether it reads no more."""
        return self._state is _State.DONE or self._state is _State.FAILED

    def feed(self, text: str, pos: int = 0) -> int:
        """Reads on from `pos`; gives the index of the first character that is not the value's."""
        end, done, failed = len(text), _State.DONE, _State.FAILED
        while pos < end and self._state is not done and self._state is not failed:
            pos = _STEPS[self._state](self, text, pos, end)
        self._say_growth(pos)
        return pos

    def _fail(self, pos: int, reason: str) -> int:
        self._say_growth(pos)
        self.position, self.failure, self._state = pos, reason, _State.FAILED
        return pos

    def _spoil(self, pos: int, reason: str) -> None:
        self._say_growth(pos)
        self.position = pos
        self.sink.spoil(reason)

    def _value(self, text: str, pos: int, end: int) -> int:
        pos = _skip_blanks(text, pos, end)
        if pos == end:
            return pos
        char = text[pos]
        if char == '"':
            self.position = pos + 1
            self._open_string(in_key=False)
            self.sink.open_string()
            return pos + 1
        if char in "{[":
            return self._open_container(char, pos)
        if char in "tfnNI":
            self._partial, self._state = char, _State.LITERAL
            return pos + 1
        if char == "-" or "0" <= char <= "9":
            self._partial, self._state = char, _State.NUMBER
            return pos + 1
        return self._fail(pos, "a value was expected")

    def _first_item(self, text: str, pos: int, end: int) -> int:
        pos = _skip_blanks(text, pos, end)
        if pos < end and text[pos] == "]":
            return self._close_container(pos)
        return self._value(text, pos, end)

    def _first_key(self, text: str, pos: int, end: int) -> int:
        pos = _skip_blanks(text, pos, end)
        if pos < end and text[pos] == "}":
            return self._close_container(pos)
        return self._next_key(text, pos, end)

    def _next_key(self, text: str, pos: int, end: int) -> int:
        pos = _skip_blanks(text, pos, end)
        if pos == end:
            return pos
        if text[pos] != '"':
            return self._fail(pos, "a key was expected")
        self._open_string(in_key=True)
        return pos + 1

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
        in_object = self._containers[-1] is not None
        if text[pos] == ",":
            self._state = _State.NEXT_KEY if in_object else _State.VALUE
            return pos + 1
        if text[pos] == ("}" if in_object else "]"):
            return self._close_container(pos)
        return self._fail(pos, "a comma or a closing bracket was expected")

    def _open_container(self, char: str, pos: int) -> int:
        self.position, deep = pos + 1, len(self._containers) >= self._max_depth
        if deep:
            self._spoil(pos + 1, TOO_DEEP)
        if char == "{":
            self._containers.append(_UNTRACKED if deep else set())
            self._state = _State.FIRST_KEY
            self.sink.open_object()
        else:
            self._containers.append(None)
            self._state = _State.FIRST_ITEM
            self.sink.open_array()
        return pos + 1

    def _close_container(self, pos: int) -> int:
        is_object = self._containers.pop() is not None
        self._seal(pos + 1)
        if is_object:
            self.sink.close_object()
        else:
            self.sink.close_array()
        return pos + 1

    def _seal(self, pos: int) -> None:
        self.position = pos
        self._state = _State.AFTER if self._containers else _State.DONE

    def _open_string(self, *, in_key: bool) -> None:
        self._string.begin(in_key=in_key)
        self._state = _State.STRING

    def _string_run(self, text: str, pos: int, end: int) -> int:
        stop = _STRING_STOP.search(text, pos, end)
        cut = stop.start() if stop else end
        if cut > pos:
            self._string.add(text[pos:cut])
        if stop is None:
            return end
        if stop[0] == '"':
            return self._close_string(cut)
        if stop[0] != "\\":
            self._spoil(cut, NO_CHARACTER)
            return cut + 1
        if cut + 1 < end and text[cut + 1] in _SIMPLE_ESCAPES:
            self._string.add(_SIMPLE_ESCAPES[text[cut + 1]])
            return cut + 2
        self._partial, self._state = "\\", _State.ESCAPE
        return cut + 1

    def _escape(self, text: str, pos: int, end: int) -> int:
        escape = self._partial + text[pos]
        if _is_lone(escape):
            self._spoil(pos, NO_CHARACTER)
            return self._leave_lone(escape, pos)
        if not _may_be_escape(escape):
            return self._fail(pos, "a wrong escape in a string")
        self._partial = escape
        decoded = _decode_escape(escape)
        if decoded:
            self._string.add(decoded)
            self._state = _State.STRING
        return pos + 1

    def _leave_lone(self, escape: str, pos: int) -> int:
        """Reads on behind a lone surrogate; a backslash that followed it begins the next escape."""
        if len(escape) == 8:
            self._partial = "\\"
            return pos
        self._partial, self._state = "", _State.STRING
        return pos if len(escape) == 7 else pos + 1

    def _say_growth(self, pos: int) -> None:
        if growth := self._string.growth():
            self.position = pos
            self.sink.grow_string(growth)

    def _close_string(self, pos: int) -> int:
        if self._string.in_key:
            return self._close_key(pos)
        self._say_growth(pos)
        value = self._string.take()
        self._seal(pos + 1)
        self.sink.seal_string(value)
        return pos + 1

    def _close_key(self, pos: int) -> int:
        name, keys = self._string.take(), self._containers[-1]
        if self._string.too_long:
            self._spoil(pos + 1, TOO_LONG_A_KEY)
        elif keys is not None and keys is not _UNTRACKED:
            if name in keys and not self.sink.last_counts:
                self._spoil(pos + 1, TWICE)
            keys.add(name)
        self.position, self._state = pos + 1, _State.COLON
        self.sink.key(name)
        return pos + 1

    def _number(self, text: str, pos: int, end: int) -> int:
        if self._partial == "-" and text[pos] == "I":
            self._state = _State.LITERAL
            return pos
        run = _NUMBER_RUN.match(text, pos, end)
        stop = run.end() if run else pos
        room = MAX_NUMBER_CHARACTERS + 1 - len(self._partial)
        self._partial += text[pos : min(stop, pos + room)]
        return stop if stop == end else self._close_number(stop)

    def _close_number(self, pos: int) -> int:
        written, value = self._partial, _read_number(self._partial)
        if value is None and not _is_long(written):
            return self._fail(pos, "a wrong number")
        if value is None or _is_long(written) or (isinstance(value, float) and isinf(value)):
            self._spoil(pos, TOO_MANY_DIGITS if _is_long(written) else NOT_FINITE)
            value = 0
        self._seal(pos)
        self.sink.scalar(value, len(written))
        return pos

    def _literal(self, text: str, pos: int, end: int) -> int:
        self._partial += text[pos]
        if self._partial not in _WORD_BEGINNINGS:
            return self._fail(pos, "a value was expected")
        if self._partial in _WORDS:
            if self._partial in _NO_NUMBERS:
                self._spoil(pos + 1, f"{self._partial} is no JSON value")
            self._seal(pos + 1)
            self.sink.scalar(_LITERALS.get(self._partial), len(self._partial))
        return pos + 1


_STEPS: dict[_State, Callable[[JsonLexer, str, int, int], int]] = {
    _State.VALUE: JsonLexer._value,
    _State.FIRST_ITEM: JsonLexer._first_item,
    _State.FIRST_KEY: JsonLexer._first_key,
    _State.NEXT_KEY: JsonLexer._next_key,
    _State.COLON: JsonLexer._colon,
    _State.STRING: JsonLexer._string_run,
    _State.ESCAPE: JsonLexer._escape,
    _State.NUMBER: JsonLexer._number,
    _State.LITERAL: JsonLexer._literal,
    _State.AFTER: JsonLexer._after,
}


def _skip_blanks(text: str, pos: int, end: int) -> int:
    if pos < end and text[pos] > " ":
        return pos
    match = _BLANKS.match(text, pos, end)
    return match.end() if match else pos


def _is_long(number: str) -> bool:
    return len(number) > MAX_NUMBER_CHARACTERS or sum(map(str.isdigit, number)) > MAX_DIGITS


def _read_number(written: str) -> int | float | None:
    """The number, or None for what is none or longer than was kept."""
    match = _NUMBER.fullmatch(written)
    if match is None or len(written) > MAX_NUMBER_CHARACTERS:
        return None
    return float(written) if match[1] or match[2] else int(written)


def _may_be_escape(escape: str) -> bool:
    """Whether the last character of a backslash sequence fits those before it."""
    index, char = len(escape) - 1, escape[-1]
    if index == 1:
        return char == "u" or char in _SIMPLE_ESCAPES
    return char in _HEX_DIGITS or index in (6, 7)


def _is_lone(escape: str) -> bool:
    """Whether the last character of a `\\u` sequence makes it a lone surrogate."""
    if len(escape) == 6:
        return _code(escape[2:6]) in range(0xDC00, 0xE000)
    if len(escape) in (7, 8):
        return escape[-1] != "\\u"[len(escape) - 7]
    return len(escape) == 12 and _code(escape[8:12]) not in (*range(0xDC00, 0xE000), None)


def _code(digits: str) -> int | None:
    return int(digits, 16) if _HEX_DIGITS.issuperset(digits) else None


def _decode_escape(escape: str) -> str:
    """What a backslash sequence stands for; empty while it is incomplete."""
    if len(escape) == 2:
        return _SIMPLE_ESCAPES.get(escape[1], "")
    if len(escape) == 6:
        code = int(escape[2:6], 16)
        return "" if 0xD800 <= code <= 0xDBFF else chr(code)
    if len(escape) == 12:
        high, low = int(escape[2:6], 16), int(escape[8:12], 16)
        return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
    return ""


class ValueBuilder:
    """A sink that puts one value together; it is in `value` once `complete`."""

    def __init__(self, *, last_counts: bool = False) -> None:
        self.last_counts = last_counts
        self._open: list[dict[str, JsonValue] | list[JsonValue]] = []
        self._keys: list[str] = []
        self.complete = False
        self.value: JsonValue = None

    def open_object(self) -> None:
        """An object begins."""
        self._open.append({})

    def open_array(self) -> None:
        """An array begins."""
        self._open.append([])

    def close_object(self) -> None:
        """It ends."""
        self._put(self._open.pop())

    close_array = close_object

    def key(self, name: str) -> None:
        """An object's key."""
        self._keys.append(name)

    def open_string(self) -> None:
        """A string value begins."""

    def grow_string(self, text: str) -> None:
        """More of it."""

    def seal_string(self, value: str) -> None:
        """The whole of it."""
        self._put(value)

    def scalar(self, value: int | float | bool | None, characters: int) -> None:
        """A number, boolean or null."""
        self._put(value)

    def spoil(self, reason: str) -> None:
        """Raises ValueError."""
        raise ValueError(reason)

    def _put(self, value: JsonValue) -> None:
        if not self._open:
            self.value, self.complete = value, True
            return
        container = self._open[-1]
        if isinstance(container, list):
            container.append(value)
        else:
            container[self._keys.pop()] = value
