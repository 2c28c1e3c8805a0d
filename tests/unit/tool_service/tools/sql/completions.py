"""Completions that use `sql` alone, through the real parser and runner."""

import asyncio
import json
from collections.abc import Callable

from tool_service.execution import events as ev
from tool_service.execution.host import Start, ToolHost, by_name
from tool_service.execution.runner import Limits, Mode, Runner
from tool_service.tools.sql.database import Database
from tool_service.tools.sql.settings import SqlSettings
from tool_service.tools.sql.tool import Function, partial_sql, sql_tools

BOUND = 10.0
Make = Callable[[Database], Function]


class Completion:
    """A runner with `sql` alone, and what it said."""

    def __init__(self, settings: SqlSettings, mode: Mode = Mode.PARTIAL, make: Make = partial_sql) -> None:
        self.events: list[ev.Event] = []
        self._news = asyncio.Event()
        host = ToolHost(by_name(sql_tools(settings, make)))
        self.runner: Runner = host.open(Start("hermes", ("sql",), mode, Limits()), self._hear).runner

    def _hear(self, event: ev.Event) -> None:
        self.events.append(event)
        self._news.set()

    @property
    def outcome(self) -> str | ev.Failure | None:
        """What the call came to, if it has."""
        return next((event.outcome for event in self.events if isinstance(event, ev.CallFinished)), None)

    async def until(self, kind: type[ev.Event]) -> ev.Event:
        async with asyncio.timeout(BOUND):
            while not (found := [event for event in self.events if isinstance(event, kind)]):
                self._news.clear()
                await self._news.wait()
        return found[0]

    async def end(self, reason: str = "stop") -> str | ev.Failure:
        async with asyncio.timeout(BOUND):
            await self.runner.end_turn(reason)  # type: ignore[arg-type]
            await self.runner.aclose()
        assert self.outcome is not None
        return self.outcome


def written(script: str) -> str:
    return f"<tool_call>\n{json.dumps({'name': 'sql', 'arguments': {'script': script}})}\n</tool_call>"


def opened(script: str) -> str:
    """A call up to the end of its script, which is still open."""
    return written(script).partition('"}}')[0]
