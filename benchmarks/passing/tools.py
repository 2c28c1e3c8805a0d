"""Tools that are here for measuring; the tool service loads this module (`--modules`)."""

import asyncio
import os
import time
from pathlib import Path

from tool_service.interface import tool

STOPS = "BENCHMARKS_STOPS"  # names the file of `idle_until_stopped`


@tool(timeout=600, concurrency=4096)
async def idle_until_stopped(note: str) -> str:
    """Do nothing until somebody stops it; then note when that was, in nanoseconds of the monotonic clock.

    Args:
        note: What to write before the time.
    """
    try:
        await asyncio.Event().wait()
    finally:
        _note(f"{note} {time.monotonic_ns()}\n")
    return ""


def _note(line: str) -> None:
    with Path(os.environ[STOPS]).open("a") as file:
        file.write(line)
