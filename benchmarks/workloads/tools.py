"""Tools that are here for measuring; the tool service loads this module (`--modules`).

`warehouse` is `sql` on a second database: the address comes from the environment, as the service's own settings name
one database only.
"""

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator
from typing import Any

from tool_service.interface import Effect, Stream, tool
from tool_service.tools.plan.plan import Lines
from tool_service.tools.sql.settings import SqlSettings
from tool_service.tools.sql.tool import open_database, partial_sql

WAREHOUSE = "BENCHMARKS_WAREHOUSE"

_ABOUT = """Run a script of SQL statements in the warehouse.

Args:
    script: Statements, each ended by a semicolon.
"""
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@tool
async def ratio(one: str, other: str) -> float:
    """Divide the first number of one text by the first number of another.

    Args:
        one: A text with a number.
        other: Another one.
    """
    return round(_first_number(one) / _first_number(other), 3)


@tool(timeout=120)
async def wait(units: Stream[str]) -> str:
    """Wait, a number of seconds for each line.

    Args:
        units: Seconds, a line each.
    """
    count = 0
    async for line in units.units(Lines()):
        if line.strip() and (seconds := float(line)):
            await asyncio.sleep(seconds)
            count += 1
    return f"{count} units"


@tool(timeout=120, concurrency=64)
async def stopwatch(text: Stream[str]) -> AsyncIterator[str]:
    """Tell when a text had come so far: nanoseconds of the machine's monotonic clock, and characters.

    Args:
        text: Anything.
    """
    length = 0
    async for piece in text:
        at = time.monotonic_ns()
        length += len(piece)
        yield f"{at} {length}\n"


@tool(timeout=120, concurrency=64)
async def sink(text: Stream[str]) -> str:
    """Take a text, piece by piece, and do nothing.

    Args:
        text: Anything.
    """
    return f"{len(await text)} characters"


def _first_number(text: str) -> float:
    found = _NUMBER.search(text)
    if found is None:
        raise ValueError(f"there is no number in {text[:80]!r}")
    return float(found.group())


def _warehouse(address: str) -> Any:
    function: Any = partial_sql(open_database(SqlSettings(database=address, writable=True)))
    function.__doc__ = _ABOUT
    return tool(name="warehouse", effect=Effect.WRITE, timeout=120)(function)


if WAREHOUSE in os.environ:
    warehouse = _warehouse(os.environ[WAREHOUSE])
