"""The tools of a service, and the completions that use them."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tool_service.execution.events import Event
from tool_service.execution.runner import Limits, Mode, Runner
from tool_service.formats import FORMATS
from tool_service.formats.format import Format, ToolSchema
from tool_service.interface.tool import Tool


class UnknownFormatError(Exception):
    """No format of this name; the message lists them."""


class UnknownToolError(Exception):
    """No tool of this name; the message lists them."""


class FormatMismatchError(Exception):
    """The format cannot write calls of these tools; the message says which it can."""


@dataclass(frozen=True, slots=True)
class Start:
    """A completion to open. `required_tool`: a tool's name, "*" for any, or empty."""

    format: str
    tools: tuple[str, ...]
    mode: Mode
    limits: Limits
    required_tool: str = ""


@dataclass(frozen=True, slots=True)
class Opened:
    """An open completion, and what a speaker for a model needs to know of it."""

    runner: Runner
    format: Format
    tools: tuple[Tool, ...]
    instructions: str
    grammar: str


@dataclass(slots=True)
class ToolHost:
    """Every tool, by name. Raises ValueError when two tools share a name."""

    tools: dict[str, Tool]
    slots: dict[str, asyncio.Semaphore] = field(init=False)

    def __post_init__(self) -> None:
        self.slots = {tool.name: asyncio.Semaphore(tool.concurrency) for tool in self.tools.values()}

    def open(self, start: Start, emit: Callable[[Event], None]) -> Opened:
        """Opens a completion. Whoever opens it closes its runner. Raises one of this module's errors."""
        if start.format not in FORMATS:
            raise UnknownFormatError(f"unknown format {start.format!r}; there are: {', '.join(sorted(FORMATS))}")
        format_ = FORMATS[start.format]
        tools = {name: self._tool(name) for name in start.tools}
        if format_.only_tool and set(tools) != {format_.only_tool}:
            raise FormatMismatchError(
                f"format {format_.name!r} writes calls of the tool {format_.only_tool!r} alone; give just that one"
            )
        schemas = [schema_of(tool) for tool in tools.values()]
        return Opened(
            runner=Runner(format_, tools, start.mode, start.limits, self.slots, emit),
            format=format_,
            tools=tuple(tools.values()),
            instructions=format_.instructions(schemas),
            grammar=self._grammar(format_, schemas, start.required_tool),
        )

    def _tool(self, name: str) -> Tool:
        if name not in self.tools:
            raise UnknownToolError(f"unknown tool {name!r}; there are: {', '.join(sorted(self.tools))}")
        return self.tools[name]

    def _grammar(self, format_: Format, schemas: list[ToolSchema], required: str) -> str:
        if not required:
            return ""
        chosen = [schema for schema in schemas if required in ("*", schema.name)]
        if not chosen:
            raise UnknownToolError(f"required tool {required!r} is not among those of this completion")
        return format_.grammar(chosen)


def schema_of(tool: Tool) -> ToolSchema:
    """What a model is told of a tool."""
    return ToolSchema(tool.name, tool.description, tool.signature.json_schema)


def by_name(tools: Iterable[Tool]) -> dict[str, Tool]:
    """Tools by their names. Raises ValueError when two share one."""
    named: dict[str, Tool] = {}
    for tool in tools:
        if tool.name in named:
            raise ValueError(f"two tools are named {tool.name!r}")
        named[tool.name] = tool
    return named
