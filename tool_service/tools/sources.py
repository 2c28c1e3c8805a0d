"""Where tools are written: a Python file or an importable module, loaded in the service and again in each worker."""

import dataclasses
import hashlib
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
    path = Path(source).resolve() if source.endswith(".py") else None
    try:
        module = importlib.import_module(source) if path is None else _load_file(path)
    except (Exception, SystemExit) as error:
        raise ToolLoadError(f"cannot load {source}: {type(error).__name__}: {error}") from error
    lasting = source if path is None else str(path)
    tools = [dataclasses.replace(value, source=lasting) for value in vars(module).values() if isinstance(value, Tool)]
    if not tools:
        raise ToolLoadError(f"{source} has no function with @tool")
    return tools


def _load_file(path: Path) -> ModuleType:
    """Runs a file as a module. Its name is its own: `json.py` must not take the place of another module `json`."""
    name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses and pydantic look for the names of annotations
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
