"""A JSON lexer that is pushed text in pieces of any size and does work in proportion to the new text.

    state        a character leads to
    VALUE        { ─▶ FIRST_KEY   [ ─▶ FIRST_ITEM   " ─▶ STRING   - 0…9 ─▶ NUMBER   t f n ─▶ LITERAL
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
    FAILED       a `JsonError` was said; nothing is read any more

White space is skipped between tokens. RFC 8259 is kept strictly, with these differences: raw line feeds, carriage
returns and tabs are accepted in strings, because small models write them; duplicate keys, numbers that do not fit, lone
surrogates, numbers of more than 1000 characters and nesting deeper than 128 are errors.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from math import isinf
from typing import TypeAlias

JsonValue: TypeAlias = "dict[str, JsonValue] | list[JsonValue] | str | int | float | bool | None"

MAX_CHARACTERS = 1 << 20
MAX_DEPTH = 128
MAX_NUMBER_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class ObjectOpened:
    """A `{`. In every token `end` is the index in the fed text just behind it."""

    end: int


@dataclass(frozen=True, slots=True)
class ObjectClosed:
    """A `}`."""

    end: int


@dataclass(frozen=True, slots=True)
class ArrayOpened:
    """A `[`."""

    end: int


@dataclass(frozen=True, slots=True)
class ArrayClosed:
    """A `]`."""

    end: int


@dataclass(frozen=True, slots=True)
class KeySealed:
    """An object's key is complete."""

    end: int
    name: str


@dataclass(frozen=True, slots=True)
class StringOpened:
    """A string value's opening quote."""

    end: int


@dataclass(frozen=True, slots=True)
class StringGrown:
    """More of the open string value, decoded. At most one per string in each feed."""

    end: int
    text: str


@dataclass(frozen=True, slots=True)
class StringSealed:
    """A string value is complete."""

    end: int
    value: str


@dataclass(frozen=True, slots=True)
class ScalarSealed:
    """A number, `true`, `false` or `null` is complete."""

    end: int
    value: int | float | bool | None


@dataclass(frozen=True, slots=True)
class JsonError:
    """The text is not JSON; `end` is the index of the character that proved it. The last token."""

    end: int
    reason: str


Token = (
    ObjectOpened
    | ObjectClosed
    | ArrayOpened
    | ArrayClosed
    | KeySealed
    | StringOpened
    | StringGrown
    | StringSealed
    | ScalarSealed
    | JsonError
)


class _State(Enum):
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
_LITERALS: dict[str, tuple[str, bool | None]] = {"t": ("true", True), "f": ("false", False), "n": ("null", None)}
_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")


class JsonLexer:
    """Reads one JSON value. `feed` it text until `done` or `failed`.

    `max_characters` bounds the value as it is written; the character beyond is an error.
    """

    def __init__(self, max_characters: int = MAX_CHARACTERS) -> None:
        self._room = max_characters
        self._max_characters = max_characters
        self._state = _State.VALUE
        self._tokens: list[Token] = []
        self._containers: list[set[str] | None] = []  # an object's keys so far, or None for an array
        self._in_key = False
        self._string: list[str] = []  # the open string, decoded
        self._grown = 0  # how many parts of it were said
        self._partial = ""  # the open escape, number or literal, as written

    @property
    def done(self) -> bool:
        """Whether the value is complete."""
        return self._state is _State.DONE

    @property
    def failed(self) -> bool:
        """Whether a `JsonError` was said."""
        return self._state is _State.FAILED

    def feed(self, text: str, start: int = 0) -> tuple[list[Token], int]:
        """Reads on from `start`; gives the new tokens and the index of the first character that is not the value's."""
        tokens: list[Token] = []
        self._tokens = tokens
        pos, end = start, min(len(text), start + self._room)
        while pos < end and self._state is not _State.DONE and self._state is not _State.FAILED:
            pos = _STEPS[self._state](self, text, pos, end)
        self._room -= pos - start
        self._say_growth(pos)
        if pos == end < len(text) and not (self.done or self.failed):
            self._fail(pos, f"longer than {self._max_characters} characters")
        return tokens, pos

    def _fail(self, pos: int, reason: str) -> int:
        self._say_growth(pos)
        self._tokens.append(JsonError(pos, reason))
        self._state = _State.FAILED
        return pos

    def _value(self, text: str, pos: int, end: int) -> int:
        pos = _skip_blanks(text, pos, end)
        if pos == end:
            return pos
        char = text[pos]
        if char == '"':
            self._tokens.append(StringOpened(pos + 1))
            return self._open_string(pos, in_key=False)
        if char in "{[":
            return self._open_container(char, pos)
        if char in _LITERALS:
            self._partial, self._state = char, _State.LITERAL
            return pos + 1
        if char == "-" or "0" <= char <= "9":
            self._partial, self._state = "", _State.NUMBER
            return pos
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
        return self._open_string(pos, in_key=True)

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
        if len(self._containers) == MAX_DEPTH:
            return self._fail(pos, f"nested deeper than {MAX_DEPTH}")
        is_object = char == "{"
        self._containers.append(set() if is_object else None)
        self._tokens.append(ObjectOpened(pos + 1) if is_object else ArrayOpened(pos + 1))
        self._state = _State.FIRST_KEY if is_object else _State.FIRST_ITEM
        return pos + 1

    def _close_container(self, pos: int) -> int:
        is_object = self._containers.pop() is not None
        self._tokens.append(ObjectClosed(pos + 1) if is_object else ArrayClosed(pos + 1))
        return self._seal(pos + 1)

    def _seal(self, pos: int) -> int:
        self._state = _State.AFTER if self._containers else _State.DONE
        return pos

    def _open_string(self, pos: int, *, in_key: bool) -> int:
        self._in_key, self._string, self._grown = in_key, [], 0
        self._state = _State.STRING
        return pos + 1

    def _string_run(self, text: str, pos: int, end: int) -> int:
        stop = _STRING_STOP.search(text, pos, end)
        cut = stop.start() if stop else end
        if cut > pos:
            self._string.append(text[pos:cut])
        if stop is None:
            return end
        if stop[0] == '"':
            return self._close_string(cut)
        if stop[0] != "\\":
            return self._fail(cut, "a control character or lone surrogate in a string")
        if cut + 1 < end and text[cut + 1] in _SIMPLE_ESCAPES:
            self._string.append(_SIMPLE_ESCAPES[text[cut + 1]])
            return cut + 2
        self._partial, self._state = "\\", _State.ESCAPE
        return cut + 1

    def _escape(self, text: str, pos: int, end: int) -> int:
        escape = self._partial + text[pos]
        if not _may_be_escape(escape):
            return self._fail(pos, "a wrong escape in a string")
        self._partial = escape
        decoded = _decode_escape(escape)
        if decoded:
            self._string.append(decoded)
            self._state = _State.STRING
        return pos + 1

    def _say_growth(self, pos: int) -> None:
        if self._in_key or self._grown == len(self._string):
            return
        self._tokens.append(StringGrown(pos, "".join(self._string[self._grown :])))
        self._grown = len(self._string)

    def _close_string(self, pos: int) -> int:
        if self._in_key:
            return self._close_key(pos)
        self._say_growth(pos)
        self._tokens.append(StringSealed(pos + 1, "".join(self._string)))
        self._string, self._grown = [], 0
        return self._seal(pos + 1)

    def _close_key(self, pos: int) -> int:
        name, keys = "".join(self._string), self._containers[-1]
        if keys is None or name in keys:
            return self._fail(pos, "a key appears twice in an object")
        keys.add(name)
        self._tokens.append(KeySealed(pos + 1, name))
        self._state = _State.COLON
        return pos + 1

    def _number(self, text: str, pos: int, end: int) -> int:
        room = MAX_NUMBER_CHARACTERS - len(self._partial)
        run = _NUMBER_RUN.match(text, pos, min(end, pos + room))
        stop = run.end() if run else pos
        self._partial += text[pos:stop]
        if stop == end:
            return stop
        if _NUMBER_RUN.fullmatch(text, stop, stop + 1):
            return self._fail(stop, f"a number of more than {MAX_NUMBER_CHARACTERS} characters")
        return self._close_number(stop)

    def _close_number(self, pos: int) -> int:
        match = _NUMBER.fullmatch(self._partial)
        if match is None:
            return self._fail(pos, "a wrong number")
        value = float(self._partial) if match[1] or match[2] else int(self._partial)
        if isinstance(value, float) and isinf(value):
            return self._fail(pos, "a number out of range")
        self._tokens.append(ScalarSealed(pos, value))
        return self._seal(pos)

    def _literal(self, text: str, pos: int, end: int) -> int:
        word, value = _LITERALS[self._partial[0]]
        if text[pos] != word[len(self._partial)]:
            return self._fail(pos, "a value was expected")
        self._partial += text[pos]
        if self._partial != word:
            return pos + 1
        self._tokens.append(ScalarSealed(pos + 1, value))
        return self._seal(pos + 1)


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
    match = _BLANKS.match(text, pos, end)
    return match.end() if match else pos


def _may_be_escape(escape: str) -> bool:
    """Whether the last character of a backslash sequence fits those before it."""
    index, char = len(escape) - 1, escape[-1]
    if index == 1:
        return char == "u" or char in _SIMPLE_ESCAPES
    if index == 6:
        return char == "\\"
    if index == 7:
        return char == "u"
    return char in _HEX_DIGITS and not _is_lone(escape)


def _is_lone(escape: str) -> bool:
    """Whether the sixth or the twelfth character of a `\\u` sequence makes it a lone surrogate."""
    if len(escape) == 6:
        return 0xDC00 <= int(escape[2:6], 16) <= 0xDFFF
    return len(escape) == 12 and not 0xDC00 <= int(escape[8:12], 16) <= 0xDFFF


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
    """Puts the tokens of one value together."""

    def __init__(self) -> None:
        self._open: list[dict[str, JsonValue] | list[JsonValue]] = []
        self._keys: list[str] = []
        self.complete = False
        self.value: JsonValue = None

    def take(self, token: Token) -> None:
        """Takes the next token; `value` is there once `complete`."""
        match token:
            case KeySealed(name=name):
                self._keys.append(name)
            case StringSealed(value=value) | ScalarSealed(value=value):
                self._put(value)
            case ObjectOpened():
                self._open.append({})
            case ArrayOpened():
                self._open.append([])
            case ObjectClosed() | ArrayClosed():
                self._put(self._open.pop())
            case StringOpened() | StringGrown() | JsonError():
                pass

    def _put(self, value: JsonValue) -> None:
        if not self._open:
            self.value, self.complete = value, True
            return
        container = self._open[-1]
        if isinstance(container, list):
            container.append(value)
        else:
            container[self._keys.pop()] = value
