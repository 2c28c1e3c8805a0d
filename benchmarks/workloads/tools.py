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

from tool_service.interface import Arg, Effect, Stream, tool
from tool_service.statements import StatementSplitter
from tool_service.tools.plan.plan import Lines
from tool_service.tools.sql.settings import SqlSettings
from tool_service.tools.sql.tool import open_database, partial_sql

STAMPS_TOLD = 16
WAIT, PASS = "wait", "pass"  # a token each
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
async def wait(seconds: Arg[float], steps: Stream[str]) -> str:
    """Wait, as often as one of the steps says so.

    Args:
        seconds: How long, each time.
        steps: A line each: "wait" or "pass".
    """
    duration = await seconds
    count = 0
    async for _ in steps.units(_Waits()):
        await asyncio.sleep(duration)
        count += 1
    return f"{count} units"


class _Waits:
    """Cuts lines, and gives those that say so; the others are no work."""

    def __init__(self) -> None:
        self._lines = Lines()

    def feed(self, text: str) -> list[str]:
        """Takes more text."""
        return [line for line in self._lines.feed(text) if line.strip() == WAIT]

    def close(self) -> list[str]:
        """The last line, where nothing ended it."""
        return [line for line in self._lines.close() if line.strip() == WAIT]


class _Stamps:
    """Notes when each piece of a text is in the tool's hands; gives the notes now and then, so that telling them does
    not disturb what is measured."""

    def __init__(self) -> None:
        self._length = 0
        self._notes: list[str] = []

    def feed(self, text: str) -> list[str]:
        """Notes nanoseconds of the machine's monotonic clock, and characters so far."""
        self._length += len(text)
        self._notes.append(f"{time.monotonic_ns()} {self._length}\n")
        return self._told() if len(self._notes) >= STAMPS_TOLD else []

    def close(self) -> list[str]:
        """The last of them."""
        return self._told()

    def _told(self) -> list[str]:
        notes, self._notes = self._notes, []
        return ["".join(notes)] if notes else []


@tool(timeout=120, concurrency=64)
async def stopwatch(text: Stream[str]) -> AsyncIterator[str]:
    """Tell when a text had come so far.

    Args:
        text: Anything.
    """
    async for notes in text.units(_Stamps()):
        yield notes


@tool(timeout=120, concurrency=64)
async def sink(code: Stream[str]) -> str:
    """Cut Python source into statements, as `python` does, and run none of them.

    Args:
        code: Python source code.
    """
    return f"{len([statement async for statement in code.units(StatementSplitter())])} statements"


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
