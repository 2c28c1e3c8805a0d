"""`search`: looks documents up; runs when the query is sealed, though the filters are still to come."""

import asyncio
from pathlib import Path

from tool_service.interface import Arg, Effect, Tool, tool
from tool_service.tools.search.index import MAX_HITS, Hit, SearchIndex

DOCUMENTATION = Path(__file__).resolve().parents[3] / "docs"


def search_tool(folder: Path) -> Tool:
    """The tool over the documents of `folder`, which are read when it is first called."""
    reading: list[asyncio.Task[SearchIndex]] = []

    async def index() -> SearchIndex:
        if not reading or (reading[0].done() and reading[0].exception()):
            reading[:] = [asyncio.create_task(asyncio.to_thread(SearchIndex.build, folder))]
        return await asyncio.shield(reading[0])

    @tool(effect=Effect.READ, timeout=10)
    async def search(
        query: Arg[str],
        path: Arg[str] = "",  # type: ignore[assignment]  # a default is the value that the Arg resolves to
        limit: Arg[int] = 5,  # type: ignore[assignment]
    ) -> list[Hit]:
        """Search the documents by words; the best sections first.

        Args:
            query: Words to look for.
            path: Only in this file or folder.
            limit: How many sections, at most 50.
        """
        documents = await index()  # read while the query is being decoded
        hits = await asyncio.to_thread(documents.search, await query, MAX_HITS)  # while the filters are being decoded
        within = (await path).strip("/")
        chosen = [hit for hit in hits if not within or hit.path == within or hit.path.startswith(f"{within}/")]
        return chosen[: max(1, await limit)]

    return search
