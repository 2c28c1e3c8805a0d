"""The tools of a service, and the completions that use them."""

import asyncio
import json
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog

from tool_service.execution.events import Event
from tool_service.execution.journal import EffectJournal, JournalError
from tool_service.execution.runner import Limits, Mode, Runner
from tool_service.execution.shared import NoLimit, Shared, WayOut
from tool_service.execution.workers import WorkerPool, runs_in_worker
from tool_service.formats import FORMATS
from tool_service.formats.constrained import call_grammar
from tool_service.formats.format import Format, ToolSchema
from tool_service.interface.client_function import ClientFunction
from tool_service.interface.tool import Tool
from tool_service.interface.toolbox import Toolbox

APPROVAL_SECONDS = 120.0

log = structlog.get_logger()


class UnknownFormatError(Exception):
    """No format of this name; the message lists them."""


class UnknownToolError(Exception):
    """No tool of this name; the message lists them."""


class FormatMismatchError(Exception):
    """The format cannot write calls of these tools; the message says which it can."""


@dataclass(frozen=True, slots=True)
class Start:
    """A completion to open. `required_tool`: a tool's name, "*" for any, or empty. `completion_id`: the same in every
    try of one request, and no other's; empty for one that is tried once. `stream_arguments`: say arguments while they
    are written. `functions` are the client's; `said`: the calls of earlier turns, by name and arguments;
    `stream_content`: say what stands beside the calls; `single_call`: read at most one a turn.
    """

    format: str
    tools: tuple[str, ...]
    mode: Mode
    limits: Limits
    required_tool: str = ""
    completion_id: str = ""
    stream_arguments: bool = False
    functions: tuple[ClientFunction, ...] = ()
    said: tuple[tuple[tuple[str, dict[str, Any]], ...], ...] = ()
    stream_content: bool = False
    single_call: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """An open completion, and what a speaker for a model needs to know of it. `said`: earlier calls in the format."""

    runner: Runner
    format: Format
    tools: tuple[Tool, ...]
    instructions: str
    grammar: str
    said: tuple[str, ...]


@dataclass(slots=True)
class ToolHost:
    """Every tool of a service, by name, with what their calls share. Whoever makes it closes it."""

    tools: dict[str, Tool]
    journal: EffectJournal = field(default_factory=EffectJournal)
    workers: WorkerPool = field(default_factory=WorkerPool)
    approval_seconds: float = APPROVAL_SECONDS
    slots: dict[str, asyncio.Semaphore] = field(init=False)

    def __post_init__(self) -> None:
        self.slots = {tool.name: asyncio.Semaphore(tool.concurrency) for tool in self.tools.values()}

    def offer(self, tool: Tool) -> None:
        """Adds a tool, or puts it in the place of one of the same name; running completions keep what they have."""
        self.tools[tool.name] = tool
        self.slots.setdefault(tool.name, asyncio.Semaphore(tool.concurrency))

    def withdraw(self, name: str) -> None:
        """Takes a tool away from completions to come."""
        self.tools.pop(name, None)

    def calls_others(self, format_: Format) -> bool:
        """Whether the only tool of a format is there and calls others."""
        return format_.only_tool in self.tools and _takes_toolbox(self.tools[format_.only_tool])

    async def warm_up(self) -> None:
        """Makes ready what the first calls would wait for: a worker, and the journal."""
        if any(not tool.effect.harmless for tool in self.tools.values()):
            try:
                await self.journal.open()
            except JournalError as error:
                log.error("calls that change the world will fail", cause=str(error))
        for source in {tool.source for tool in self.tools.values() if runs_in_worker(tool)}:
            await self.workers.warm_up(source)

    async def aclose(self) -> None:
        """Ends the workers and closes the journal."""
        await self.workers.aclose()
        await self.journal.aclose()

    def open(
        self,
        start: Start,
        emit: Callable[[Event], None],
        way_out: WayOut | None = None,
        traceparent: Callable[[str], str | None] = lambda _: None,
    ) -> Opened:
        """Opens a completion. Whoever opens it closes its runner. Calls that have something to say wait while `way_out`
        is full. `traceparent`: of the span of a call, by the id that `emit` has heard.

        Raises one of this module's errors, and UnenforceableError where a required call cannot have a grammar.
        """
        if start.format not in FORMATS:
            raise UnknownFormatError(f"unknown format {start.format!r}; there are: {', '.join(sorted(FORMATS))}")
        format_ = FORMATS[start.format]
        named = {name: self._tool(name) for name in start.tools} | by_name(start.functions)
        tools, inner = self._roles(format_, named)
        schemas = [schema_of(tool) for tool in tools.values()]
        shared = Shared(
            completion_id=start.completion_id or secrets.token_hex(16),
            mode=start.mode,
            limits=start.limits,
            stream_arguments=start.stream_arguments,
            stream_content=start.stream_content,
            single_call=start.single_call,
            slots=self.slots | {function.name: asyncio.Semaphore() for function in start.functions},
            journal=self.journal,
            workers=self.workers,
            approval_seconds=self.approval_seconds,
            emit=emit,
            way_out=way_out or NoLimit(),
            traceparent=traceparent,
        )
        return Opened(
            runner=Runner(format_, tools, inner, shared, constrained=start.required_tool != ""),
            format=format_,
            tools=tuple(tools.values()),
            instructions=format_.instructions(
                schemas if not format_.lists_inner else list(map(schema_of, inner.values()))
            ),
            grammar=self._grammar(format_, schemas, start.required_tool),
            said=tuple("\n".join(_written(format_, *call) for call in calls) for calls in start.said),
        )

    def _roles(self, format_: Format, named: dict[str, Tool]) -> tuple[dict[str, Tool], dict[str, Tool]]:
        """The tools that the model may call, and those that a tool of these may call.

        The latter are the completion's tools without a toolbox; where there are none, all such tools that do no harm
        and ask nobody.
        """
        functions = {name for name, tool in named.items() if isinstance(tool, ClientFunction)}
        plain = {name: tool for name, tool in named.items() if name not in functions and not _takes_toolbox(tool)}
        free = {name: tool for name, tool in self.tools.items() if tool.effect.harmless and not tool.asks}
        inner = plain or {name: tool for name, tool in free.items() if not _takes_toolbox(tool)}
        only = format_.only_tool
        if not only:
            return named, inner
        if only not in named or functions or (len(named) > 1 and not self.calls_others(format_)):
            raise FormatMismatchError(
                f"format {format_.name!r} writes calls of the tool {only!r} alone; give just that one"
            )
        return {only: named[only]}, inner

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
        return call_grammar(format_, chosen)


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


def _written(format_: Format, name: str, arguments: dict[str, Any]) -> str:
    """A call as the format writes it; as plain JSON where it writes no such call."""
    if not format_.only_tool or format_.only_tool == name:
        with suppress(KeyError):
            return format_.write(name, arguments)
    return json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)


def _takes_toolbox(tool: Tool) -> bool:
    return Toolbox in tool.signature.injected.values()
