"""What a parser of tool calls says, the same for every format.

The life of a call in a turn's text, by its `call` number (0, 1, … in order of appearance):

    CallOpened ─▶ ( ArgumentOpened ─▶ StringDelta* ─▶ ArgumentSealed | ArgumentSealed )* ─▶ CallSealed | CallMalformed

`CallOpened` comes when the name is sealed, so everything that stood before the name (some formats write the arguments
first) is said after it. A string argument says `ArgumentOpened`, its `StringDelta`s and `ArgumentSealed`; any other
value only `ArgumentSealed`. A call that the turn's end finds open is `CallMalformed` with `incomplete`, unless its
format lets the end close it.
"""

from dataclasses import dataclass
from typing import TypeAlias

JsonValue: TypeAlias = "dict[str, JsonValue] | list[JsonValue] | str | int | float | bool | None"


@dataclass(frozen=True, slots=True)
class Text:
    """Text that belongs to no call."""

    text: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    """Text that the model thinks to itself. Nothing in it is a call."""

    text: str


@dataclass(frozen=True, slots=True)
class CallOpened:
    """The call's name is sealed."""

    call: int
    name: str


@dataclass(frozen=True, slots=True)
class ArgumentOpened:
    """A string argument began."""

    call: int
    name: str


@dataclass(frozen=True, slots=True)
class StringDelta:
    """More of the open string argument, decoded: whole characters, escapes resolved."""

    call: int
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class ArgumentSealed:
    """An argument is complete."""

    call: int
    name: str
    value: JsonValue


@dataclass(frozen=True, slots=True)
class CallSealed:
    """The call is complete."""

    call: int
    arguments: dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class CallMalformed:
    """The call will never be sealed. `incomplete`: the text ended inside it; otherwise the text is wrong."""

    call: int
    reason: str
    incomplete: bool = False


Event = Text | Reasoning | CallOpened | ArgumentOpened | StringDelta | ArgumentSealed | CallSealed | CallMalformed
