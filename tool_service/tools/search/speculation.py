"""Searches for a query that is still being decoded.

What there is of it is searched for as if it were all: at most one search at a time, the newest text next. Where the
query ends with what was searched for last, its hits are there already; everything else is thrown away, so that the hits
are always those of the whole query.
"""

import asyncio
from types import TracebackType
from typing import Self

from tool_service.interface import Arg
from tool_service.tools.search.engine import WIDEST, Engine, Hit


class Prefixes:
    """Cuts a query into the pieces that are worth a search: each one while speculation is asked for, else the whole."""

    def __init__(self, speculate: Arg[bool]) -> None:
        self._speculate = speculate
        self._text = ""

    def feed(self, text: str) -> list[str]:
        """The new piece, if it is to be searched for."""
        self._text += text
        # Where the model says only after the query whether to speculate, it says so too late.
        return self.close() if self._speculate.known(otherwise=False) else []

    def close(self) -> list[str]:
        """The rest."""
        text, self._text = self._text, ""
        return [text]


class Speculation:
    """The searches for one query. Leaving the block stops them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._running: asyncio.Task[list[Hit]] | None = None
        self._searched = ""
        self._newest = ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    def search(self, text: str) -> None:
        """Searches for this text next; in place of one that still waits."""
        self._newest = text
        is_known = self._running is not None and text == self._searched
        if text and not is_known and (self._running is None or self._running.done()):
            self._next()

    async def hits(self, query: str) -> list[Hit]:
        """The hits of the whole query. Raises `SearchError`."""
        if self._running is None or self._searched != query:
            await self._stop()
            return await self._engine.search(query, WIDEST)
        return await self._running

    def _next(self) -> None:
        self._searched = self._newest
        self._running = asyncio.create_task(self._engine.search(self._searched, WIDEST))
        self._running.add_done_callback(self._on_done)

    def _on_done(self, task: "asyncio.Task[list[Hit]]") -> None:
        failed = task.cancelled() or task.exception() is not None  # of a piece of the query: no one's concern
        if task is self._running and not task.cancelled() and self._newest != self._searched:
            self._next()
        elif task is self._running and failed:
            self._running = None

    async def _stop(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            await asyncio.wait((running,))
