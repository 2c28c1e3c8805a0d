"""What a format is: a parser, and what a speaker for a model must know to have calls written in it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from tool_service.formats.events import Event

EndReason = Literal["stop", "length", "veto"]

# The parameters of the tools that may be called: by each tool's name a JSON schema of type object.
Tools = Mapping[str, Mapping[str, Any]]


class Parser(Protocol):
    """A sans-IO parser of one turn. Its work is proportional to the new text.

    However the text was cut, the events are the same, but for how `Text`, `Reasoning` and `StringDelta` are cut.
    """

    def expect_grammar(self) -> None:
        """The turn is written under the format's grammar, which cannot see that a key comes again whose name the schema
        leaves free: inside an argument its last value counts, and no call is malformed for it. Before any text."""
        ...

    def feed(self, text: str) -> list[Event]:
        """Takes the next piece of the turn."""
        ...

    def close(self, reason: EndReason) -> list[Event]:
        """Takes the turn's end. After `length` or `veto` no open call is ever sealed. Nothing may be fed after it."""
        ...


@dataclass(frozen=True, slots=True)
class ToolSchema:
    """What a model is told of a tool. `parameters` is a JSON schema of type object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


# Writes a call, from the tool's name and the arguments.
Write = Callable[[str, Mapping[str, Any]], str]


@dataclass(frozen=True, slots=True)
class TurnStop:
    """The turn ends with the token that completes `text` somewhere after `after`; both stay in the text."""

    after: str
    text: str


@dataclass(frozen=True, slots=True)
class Format:
    """A way of writing calls.

    `parser` takes the tools that may be called. `write` writes a turn with one call. `instructions` tells a model how
    to call these tools. `grammar` gives a Lark grammar (llguidance's dialect) whose sentences are turns with exactly
    one valid call of one of these tools. `template_native` says that a chat template that lists tools already tells
    the model this format. `only_tool` is the tool that every call is a call of; `lists_inner` says that `instructions`
    takes the tools that this one may call, not this one.
    """

    name: str
    description: str
    parser: Callable[[Tools], Parser]
    write: Write
    instructions: Callable[[Sequence[ToolSchema]], str]
    grammar: Callable[[Sequence[ToolSchema]], str]
    template_native: bool = True
    stops: tuple[TurnStop, ...] = ()
    only_tool: str = ""
    lists_inner: bool = False
