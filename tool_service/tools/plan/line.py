"""One line of a plan: `$3 = ratio($1, $2)`.

    line      = blank | "#" anything | "$" number " = " tool "(" arguments ")"
    arguments = literal or "$" number, by position or by name, with commas between them
              | any other text, which is the first parameter as it stands: search(Microsoft market cap)

Literals are Python's (and true, false, null). A `$number` is the result of that line, in a text too; in a text in
quotes only where there is such a line, so that "under $20" can be said.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MAX_LINE_CHARS = 8_192

_LINE = re.compile(r"\$(?P<number>\d{1,4})\s*=\s*(?P<tool>[A-Za-z_][\w.-]*)\s*\((?P<arguments>.*)\)\s*")
_REFERENCE = re.compile(r"\$(\d{1,4})(?!\d)")
_NAMES: dict[str, Any] = {"true": True, "false": False, "null": None}
_MARK = "\ua66e"  # a letter that Python's grammar knows and nobody writes: it stands for the `$`, which is none


class LineError(Exception):
    """The line is not one of a plan; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The result of another line."""

    number: int


@dataclass(frozen=True, slots=True)
class Line:
    """A line that calls `tool`. Arguments hold literals and `Reference`s; where there are none of either kind, `text`,
    the arguments as they were written, is plain text.
    """

    number: int
    tool: str
    positional: tuple[Any, ...]
    named: Mapping[str, Any]
    text: str

    @property
    def needed(self) -> frozenset[int]:
        """The lines that must be there."""
        return frozenset(
            _mentioned(self.text) if self.is_plain else _references([*self.positional, *self.named.values()])
        )

    @property
    def mentioned(self) -> frozenset[int]:
        """Every line that is named, in texts in quotes too."""
        return frozenset(_mentioned(self.text))

    @property
    def is_plain(self) -> bool:
        """Whether the arguments are one text for the first parameter."""
        return not self.positional and not self.named and bool(self.text)


def parse_line(text: str) -> Line | None:
    """Reads a line; None for one that says nothing. Raises LineError."""
    stripped = text.strip()
    if not stripped or stripped.startswith("#"):
        return None
    if len(text.lstrip().removesuffix("\n")) > MAX_LINE_CHARS:
        raise LineError(f"it is too long; at most {MAX_LINE_CHARS} characters are read")
    found = _LINE.fullmatch(stripped)
    if found is None:
        raise LineError("it is not written like $1 = tool(arguments)")
    arguments = found["arguments"].strip()
    positional, named = _literals(arguments)
    return Line(int(found["number"]), found["tool"], positional, named, arguments)


def fill(text: str, results: Mapping[int, str]) -> str:
    """A text with each `$number` replaced by that line's result, where there is one."""
    return _REFERENCE.sub(lambda found: results.get(int(found[1]), found[0]), text)


def _mentioned(text: str) -> Iterator[int]:
    return (int(found) for found in _REFERENCE.findall(text))


def _references(values: list[Any]) -> Iterator[int]:
    for value in values:
        match value:
            case Reference():
                yield value.number
            case list():
                yield from _references(value)
            case dict():
                yield from _references(list(value.values()))


def _literals(arguments: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments by position and by name; none at all for plain text."""
    if _MARK in arguments:
        return (), {}
    try:
        marked = _REFERENCE.sub(lambda found: f"{_MARK}{found[1]}", arguments)
        call = ast.parse(f"f({marked})", mode="eval").body
        if not isinstance(call, ast.Call):
            return (), {}
        return tuple(map(_value, call.args)), {_name(keyword): _value(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return (), {}


def _name(keyword: ast.keyword) -> str:
    if keyword.arg is None:
        raise ValueError("** is plain text")
    return keyword.arg


def _value(node: ast.expr) -> Any:
    """A literal's value, or a reference. Raises ValueError."""
    match node:
        case ast.Name(id=name) if name in _NAMES:
            return _NAMES[name]
        case ast.Name(id=name) if name.startswith(_MARK) and name.removeprefix(_MARK).isdecimal():
            return Reference(int(name.removeprefix(_MARK)))
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(item) for item in items]
        case ast.Dict(keys=keys, values=values):
            return {_key(key): _value(value) for key, value in zip(keys, values, strict=True)}
    value = ast.literal_eval(node)
    if isinstance(value, str):
        return value.replace(_MARK, "$")
    if not isinstance(value, int | float | bool | None):
        raise ValueError("no JSON value")
    return value


def _key(node: ast.expr | None) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.replace(_MARK, "$")
    raise ValueError("a key is text")
