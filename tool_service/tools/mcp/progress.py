"""A server's progress notifications as lines of output: `[3/10] half the rows are read`."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from tool_service.execution.render import shortened
from tool_service.tools.plain_text import plain_line

MAX_LINES = 100
MAX_LINE_CHARS = 200


class Progress:
    """Those of one call. `hear` takes a notification, as the SDK hands it over."""

    def __init__(self) -> None:
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._count = 0

    async def hear(self, progress: float, total: float | None, message: str | None) -> None:
        """Takes one; only so many, because the model reads them all."""
        self._count += 1
        if self._count <= MAX_LINES:
            self._lines.put_nowait(_line(progress, total, message))
        elif self._count == MAX_LINES + 1:
            self._lines.put_nowait("[further progress is not shown]\n")

    async def until(self, request: asyncio.Task[Any]) -> AsyncIterator[str]:
        """The lines, as they come, until the request is done."""
        request.add_done_callback(lambda _: self._lines.put_nowait(None))
        while (line := await self._lines.get()) is not None:
            yield line


def _line(progress: float, total: float | None, message: str | None) -> str:
    of = f"/{total:g}" if total is not None else ""
    said = shortened(plain_line(message or ""), MAX_LINE_CHARS)
    return f"[{progress:g}{of}] {said}".rstrip() + "\n"
