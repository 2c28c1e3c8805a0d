"""Documents on this machine as an engine: an index in a thread, opened when it is first asked for."""

import asyncio
from collections.abc import Callable

from tool_service.tools.search.engine import Hit, Index
from tool_service.tools.search.words import site_path


class EmbeddedEngine:
    """An engine over an index that `opened` makes or opens, once. One that fails is tried again at the next call."""

    def __init__(self, opened: Callable[[], Index]) -> None:
        self._opened = opened
        self._index: asyncio.Task[Index] | None = None

    async def open(self) -> None:
        """Has the index open. Raises `SearchError`."""
        await self._open()

    async def search(self, query: str, limit: int, site: str = "") -> list[Hit]:
        """At most `limit` sections of this file or folder, best first. Raises `SearchError`."""
        index = await self._open()
        return await asyncio.to_thread(index.search, query, limit, site_path(site))

    def covers(self, site: str, hit: Hit) -> bool:
        """Whether the hit is in this file or folder."""
        within = site_path(site)
        return not within or hit.source == within or hit.source.startswith(f"{within}/")

    async def aclose(self) -> None:
        """Closes the index, also one that is still being opened."""
        opening, self._index = self._index, None
        if opening is not None:
            await asyncio.wait((opening,))
            if not opening.cancelled() and opening.exception() is None:
                await asyncio.to_thread(opening.result().close)

    async def _open(self) -> Index:
        if self._index is None or (self._index.done() and self._index.exception() is not None):
            self._index = asyncio.create_task(asyncio.to_thread(self._opened))
        return await asyncio.shield(self._index)  # a call that is given up leaves it to the next one
