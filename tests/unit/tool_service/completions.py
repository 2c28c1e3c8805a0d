"""Completions without a service: a host of some tools, its runner, and a log of what it says."""

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import TypeVar

from tool_service.execution import events as ev
from tool_service.execution.host import Start, ToolHost, by_name
from tool_service.execution.runner import Limits, Mode, Runner
from tool_service.interface import Tool

Kind = TypeVar("Kind", bound=ev.Event)
BOUND = 10.0  # seconds: for what takes none, unless it never comes


class Log:
    """What a runner said, with waiting for it."""

    def __init__(self) -> None:
        self.events: list[ev.Event] = []
        self._news = asyncio.Event()

    def __call__(self, event: ev.Event) -> None:
        self.events.append(event)
        self._news.set()

    async def until(self, found: Callable[[ev.Event], bool]) -> ev.Event:
        async with asyncio.timeout(BOUND):
            while True:
                if hits := [event for event in self.events if found(event)]:
                    return hits[0]
                self._news.clear()
                await self._news.wait()

    def of(self, kind: type[Kind]) -> list[Kind]:
        return [event for event in self.events if isinstance(event, kind)]

    def finished(self, number: int = 0) -> ev.CallFinished:
        return self.of(ev.CallFinished)[number]

    def failure(self, number: int = 0) -> ev.Failure:
        outcome = self.finished(number).outcome
        assert isinstance(outcome, ev.Failure)
        return outcome


def start(
    log: Callable[[ev.Event], None],
    *tools: Tool,
    mode: Mode = Mode.PARTIAL,
    limits: Limits | None = None,
    format_: str = "hermes",
    completion_id: str = "",
    required: str = "",
    stream_arguments: bool = False,
) -> Runner:
    """A completion that may call some tools."""
    host = ToolHost(by_name(tools))
    opening = Start(format_, tuple(host.tools), mode, limits or Limits(), required, completion_id, stream_arguments)
    return host.open(opening, log).runner


def written(name: str, **arguments: object) -> str:
    """A call as a model writes it in the format `hermes`."""
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


async def end(runner: Runner, reason: str = "stop") -> None:
    """The turn's end, with what is still to happen in it."""
    async with asyncio.timeout(BOUND):
        await runner.end_turn(reason)  # type: ignore[arg-type]


async def outcome(tool: Tool, pieces: Iterable[str], mode: Mode = Mode.PARTIAL, pauses: int = 2) -> str | ev.Failure:
    """What the call of a turn comes to whose text comes in these pieces, the event loop turning between them."""
    log = Log()
    runner = start(log, tool, mode=mode)
    for piece in pieces:
        runner.text(piece)
        for _ in range(pauses):
            await asyncio.sleep(0)
    await end(runner)
    await runner.aclose()
    [finished] = log.of(ev.CallFinished)
    return finished.outcome
