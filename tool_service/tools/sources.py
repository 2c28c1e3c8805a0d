"""Where tools are written: a Python file or an importable module, loaded in the service and again in each worker."""

import dataclasses
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from tool_service.interface.tool import Tool


class ToolLoadError(Exception):
    """The tools that were asked for cannot be offered; the message says why."""


def tools_of(source: str) -> list[Tool]:
    """The tools of a file, whose name ends in `.py`, or of a module. Raises ToolLoadError."""
    try:
        module = _load_file(Path(source)) if source.endswith(".py") else importlib.import_module(source)
    except Exception as error:
        raise ToolLoadError(f"cannot load {source}: {type(error).__name__}: {error}") from error
    tools = [dataclasses.replace(value, source=source) for value in vars(module).values() if isinstance(value, Tool)]
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
