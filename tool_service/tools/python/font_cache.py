"""Matplotlib's list of fonts, made once per machine: without it each interpreter's first import takes seconds.

Each interpreter gets its own copy, so that none can leave anything for another in a folder that they share.
"""

import asyncio
import contextlib
import functools
import importlib.metadata
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path

from protos.rpc.settings import cache_folder

MAKE_SECONDS = 120.0
MAKE_IT = "import matplotlib.pyplot"
PATTERN = "fontlist-*.json"

_log = logging.getLogger(__name__)


def default_font_cache() -> Path:
    """`$CONVEYOR_CACHE/matplotlib/VERSION`, or the same under `~/.cache/conveyor`."""
    return cache_folder() / "matplotlib" / _version()


async def warm_up(folder: Path | None = None) -> bool:
    """Makes the list of fonts if it is not there yet. To be called once in the background when the service starts.

    Returns whether the list is there; never raises for a machine on which it cannot be made, because interpreters
    work without it. Safe to call in several processes at once.
    """
    folder = folder or default_font_cache()
    try:
        return _is_made(folder) or await _make(folder)
    except (OSError, TimeoutError) as error:
        _log.warning("matplotlib's list of fonts cannot be kept in %s: %s", folder, error)
        return False


def copy_font_cache(source: Path, target: Path) -> None:
    """Copies what `warm_up` made, if it has, into an existing folder."""
    with contextlib.suppress(OSError):
        for path in source.glob(PATTERN):
            shutil.copyfile(path, target / path.name)


@functools.cache
def _version() -> str:
    try:
        return importlib.metadata.version("matplotlib")
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _is_made(folder: Path) -> bool:
    return any(folder.glob(PATTERN))


async def _make(folder: Path) -> bool:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="making-", ignore_cleanup_errors=True) as made:
        await _import_matplotlib(made)
        for path in Path(made).glob(PATTERN):
            path.replace(folder / path.name)
    return _is_made(folder)


async def _import_matplotlib(folder: str) -> None:
    path = os.environ.get("PATH", os.defpath)
    environment = {"PATH": path, "HOME": folder, "MPLCONFIGDIR": folder, "MPLBACKEND": "Agg"}
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-c", MAKE_IT, stdin=quiet, stdout=quiet, stderr=quiet, env=environment
    )
    try:
        async with asyncio.timeout(MAKE_SECONDS):
            await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
