"""Which tools a service offers: those that come along, and those of files and modules that it is told to load."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from tool_service.execution.host import by_name
from tool_service.interface.tool import Tool
from tool_service.settings import ToolSettings
from tool_service.tools.calculator.tool import calculator
from tool_service.tools.python.tool import python
from tool_service.tools.search.tool import DOCUMENTATION, search_tool


class ToolLoadError(Exception):
    """The tools that were asked for cannot be offered; the message says why."""


def load_tools(settings: ToolSettings) -> dict[str, Tool]:
    """Every tool of the service, by name. Raises ToolLoadError."""
    found = [python, calculator, *_search(settings.search.folder)]
    for source in settings.modules:
        found += _tools_of(source)
    try:
        named = by_name(found)
    except ValueError as error:
        raise ToolLoadError(str(error)) from error
    for name in settings.only:
        if name not in named:
            raise ToolLoadError(f"only: unknown tool {name!r}; there are: {', '.join(sorted(named))}")
    return {name: tool for name, tool in named.items() if not settings.only or name in settings.only}


def _search(folder: str) -> list[Tool]:
    if folder and not Path(folder).is_dir():
        raise ToolLoadError(f"search.folder: there is no folder {folder}")
    chosen = Path(folder) if folder else DOCUMENTATION
    return [search_tool(chosen)] if chosen.is_dir() else []


def _tools_of(source: str) -> list[Tool]:
    try:
        module = _load_file(Path(source)) if source.endswith(".py") else importlib.import_module(source)
    except Exception as error:
        raise ToolLoadError(f"cannot load {source}: {type(error).__name__}: {error}") from error
    tools = [value for value in vars(module).values() if isinstance(value, Tool)]
    if not tools:
        raise ToolLoadError(f"{source} has no function with @tool")
    return tools


def _load_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
