"""Completions that use `sql` alone, through the real parser and runner."""

from collections.abc import Callable
from pathlib import Path

from tests.unit.tool_service import completions
from tests.unit.tool_service.completions import BOUND, Log, end
from tool_service.execution import events as ev
from tool_service.execution.host import Start, ToolHost, by_name
from tool_service.execution.journal import EffectJournal
from tool_service.execution.runner import Limits, Mode
from tool_service.tools.sql.database import Database
from tool_service.tools.sql.settings import SqlSettings
from tool_service.tools.sql.tool import Function, partial_sql, sql_tools

__all__ = ["BOUND", "Completion", "opened", "written"]

Make = Callable[[Database], Function]


class Completion:
    """A runner with `sql` alone, and what it said. `id_`: the same for each try of one completion; it is then known
    again by the file `journal`."""

    def __init__(
        self,
        settings: SqlSettings,
        mode: Mode = Mode.PARTIAL,
        make: Make = partial_sql,
        *,
        id_: str = "",
        journal: Path | None = None,
    ) -> None:
        self.log = Log()
        self._host = ToolHost(by_name(sql_tools(settings, make)), journal=EffectJournal(journal))
        opening = Start("hermes", tuple(self._host.tools), mode, Limits(), completion_id=id_)
        self.runner = self._host.open(opening, self.log).runner

    @property
    def events(self) -> list[ev.Event]:
        return self.log.events

    @property
    def outcome(self) -> str | ev.Failure | None:
        """What the call came to, if it has."""
        return next((event.outcome for event in self.log.of(ev.CallFinished)), None)

    async def until(self, kind: type[ev.Event]) -> ev.Event:
        return await self.log.until(lambda event: isinstance(event, kind))

    async def end(self, reason: str = "stop") -> str | ev.Failure:
        await end(self.runner, reason)
        await self.aclose()
        return self.log.finished().outcome

    async def aclose(self) -> None:
        """Ends it as a client does that goes away."""
        await self.runner.aclose()
        await self._host.aclose()


def written(script: str) -> str:
    return completions.written("sql", script=script)


def opened(script: str) -> str:
    """A call up to the end of its script, which is still open."""
    return written(script).partition('"}}')[0]
