"""Which tools a service offers: those that come along, those of installed distributions, and those it is told to load.

A distribution names its modules of tools as entry points:

    [project.entry-points."conveyor.tools"]
    weather = "acme_weather.tools"
"""

import dataclasses
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from tool_service.execution.host import ToolHost, by_name
from tool_service.execution.journal import EffectJournal
from tool_service.execution.workers import WorkerPool
from tool_service.interface.tool import Tool
from tool_service.settings import ToolSettings
from tool_service.tools.plan.tool import plan
from tool_service.tools.python.tool import python
from tool_service.tools.search.tool import DOCUMENTATION, search_tool
from tool_service.tools.sources import ToolLoadError, tools_of

CALCULATOR = "tool_service.tools.calculator.tool"

ENTRY_POINTS = "conveyor.tools"


@asynccontextmanager
async def open_host(settings: ToolSettings) -> AsyncIterator[ToolHost]:
    """The host with every tool; what they share is freed at the end. Raises ToolLoadError."""
    host = ToolHost(
        load_tools(settings),
        EffectJournal(_state_folder(settings) / "effects.db"),
        WorkerPool(settings.workers, int(settings.worker_memory_gib * (1 << 30))),
        settings.approval_seconds,
    )
    try:
        yield host
    finally:
        await host.aclose()


def load_tools(settings: ToolSettings) -> dict[str, Tool]:
    """Every tool of the service, by name. Raises ToolLoadError."""
    found = [python, plan, *tools_of(CALCULATOR), *_search(settings.search.folder)]
    found += _distributed()
    for source in settings.modules:
        found += tools_of(source)
    try:
        named = by_name(found)
    except ValueError as error:
        raise ToolLoadError(str(error)) from error
    for key, names in (("only", settings.only), ("approve", settings.approve)):
        for name in names:
            if name not in named:
                raise ToolLoadError(f"{key}: unknown tool {name!r}; there are: {', '.join(sorted(named))}")
    offered = {name: tool for name, tool in named.items() if not settings.only or name in settings.only}
    return {name: _asking(tool) if name in settings.approve else tool for name, tool in offered.items()}


def _asking(tool: Tool) -> Tool:
    return dataclasses.replace(tool, asks=True)


def _search(folder: str) -> list[Tool]:
    if folder and not Path(folder).is_dir():
        raise ToolLoadError(f"search.folder: there is no folder {folder}")
    chosen = Path(folder) if folder else DOCUMENTATION
    return [search_tool(chosen)] if chosen.is_dir() else []


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


def _state_folder(settings: ToolSettings) -> Path:
    """`state_folder`, or where the XDG Base Directory Specification has it."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(settings.state_folder) if settings.state_folder else Path(state) / "conveyor"
