"""Which tools a service offers: those that come along, those of installed distributions, and those it is told to load.

A distribution names its modules of tools as entry points:

    [project.entry-points."conveyor.tools"]
    weather = "acme_weather.tools"
"""

import dataclasses
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from tool_service.execution.host import ToolHost, by_name
from tool_service.execution.journal import EffectJournal
from tool_service.execution.workers import WorkerPool
from tool_service.interface.tool import Tool
from tool_service.settings import GIB, ToolSettings
from tool_service.tools.http_get.tool import http_get_tools
from tool_service.tools.local_news.tool import local_news_tools
from tool_service.tools.mcp.tool import mcp_tools
from tool_service.tools.plan.tool import plan
from tool_service.tools.python.interpreter import SandboxUnavailable
from tool_service.tools.python.tool import python_tools
from tool_service.tools.search.engine import SearchError
from tool_service.tools.search.tool import search_tools
from tool_service.tools.sources import ToolLoadError, tools_of
from tool_service.tools.sql.tool import sql_tools

CALCULATOR = "tool_service.tools.calculator.tool"

ENTRY_POINTS = "conveyor.tools"


@asynccontextmanager
async def open_host(settings: ToolSettings) -> AsyncIterator[ToolHost]:
    """The host with every tool; what they share is freed at the end. Raises ToolLoadError."""
    async with AsyncExitStack() as stack:
        choice = _Choice(settings)
        host = ToolHost(
            choice.of(await _open_tools(settings, stack)),
            EffectJournal(state_folder(settings) / "effects.db"),
            WorkerPool(settings.workers, int(settings.worker_memory_gib * GIB)),
            settings.approval_seconds,
        )
        stack.push_async_callback(host.aclose)
        offer = choice.later(host)
        await stack.enter_async_context(mcp_tools(settings.mcp, offer, host.withdraw))
        yield host


async def _open_tools(settings: ToolSettings, stack: AsyncExitStack) -> list[Tool]:
    """Every tool there is. What they hold for as long as the service lives is closed with the stack."""
    try:
        return [
            *(await stack.enter_async_context(python_tools(settings.python)) if _is_wanted("python", settings) else ()),
            plan,
            *tools_of(CALCULATOR),
            *await stack.enter_async_context(search_tools(settings.search)),
            *http_get_tools(settings.http_get),
            *local_news_tools(settings.local_news, settings.http_get),
            *sql_tools(settings.sql),
            *_distributed(),
            *(tool for source in settings.modules for tool in tools_of(source)),
        ]
    except SandboxUnavailable as error:
        raise ToolLoadError(
            f"{error} Leave `python` out with tools.only; or CONVEYOR_PYTHON_SANDBOX=off runs it all the same, with "
            "limits and without network as far as the machine can, but with the service's files."
        ) from error
    except (SearchError, ValueError) as error:
        raise ToolLoadError(str(error)) from error


class _Choice:
    """Which tools the settings want, and which of them a person must allow."""

    def __init__(self, settings: ToolSettings) -> None:
        self._settings = settings
        self._taken: frozenset[str] = frozenset()

    def of(self, tools: list[Tool]) -> dict[str, Tool]:
        """Those to offer, by name. Raises ToolLoadError where two share one, or a setting names one that is not there.

        A name that an MCP server may come to have is let pass.
        """
        try:
            named = by_name(tools)
        except ValueError as error:
            raise ToolLoadError(str(error)) from error
        self._taken = frozenset(named)
        for key, names in (("only", self._settings.only), ("approve", self._settings.approve)):
            for name in names:
                if name not in named and name.partition("_")[0] not in self._settings.mcp:
                    raise ToolLoadError(f"{key}: unknown tool {name!r}; there are: {', '.join(sorted(named))}")
        return {name: self._asking(tool) for name, tool in named.items() if _is_wanted(name, self._settings)}

    def later(self, host: ToolHost) -> Callable[[Tool], None]:
        """Offers a tool that comes while the service runs. Raises ValueError where its name is another's."""

        def offer(tool: Tool) -> None:
            if tool.name in self._taken:
                raise ValueError("another tool has this name")
            if _is_wanted(tool.name, self._settings):
                host.offer(self._asking(tool))

        return offer

    def _asking(self, tool: Tool) -> Tool:
        return dataclasses.replace(tool, asks=True) if tool.name in self._settings.approve else tool


def _is_wanted(name: str, settings: ToolSettings) -> bool:
    return not settings.only or name in settings.only


def state_folder(settings: ToolSettings) -> Path:
    """`state_folder`, or where the XDG Base Directory Specification has it."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(settings.state_folder).expanduser() if settings.state_folder else Path(state) / "conveyor"


def _distributed() -> list[Tool]:
    """The tools of installed distributions, in the order of their entry points' names."""
    found = sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: (entry.name, entry.value))
    return [tool for entry in found for tool in _tools_of_entry(entry)]


def _tools_of_entry(entry: EntryPoint) -> list[Tool]:
    try:
        return tools_of(entry.module)
    except ToolLoadError as error:
        name = entry.dist.name if entry.dist is not None else "an unknown distribution"
        raise ToolLoadError(
            f"the entry point {entry.name!r} of {name} in the group {ENTRY_POINTS}: {error}; mend or uninstall {name}"
        ) from error
