"""`search`: looks things up; runs when the query is sealed, though the filters are still to come."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from pathlib import Path

from tool_service.interface import Arg, Effect, Stream, Tool, tool
from tool_service.tools.search.embedded import EmbeddedEngine
from tool_service.tools.search.engine import Engine, Hit, Index, SearchError
from tool_service.tools.search.found import Found
from tool_service.tools.search.indexing import index_in_memory, open_index
from tool_service.tools.search.settings import SearchSettings

DOCUMENTATION = Path(__file__).resolve().parents[3] / "docs"


@asynccontextmanager
async def search_tools(settings: SearchSettings) -> AsyncIterator[list[Tool]]:
    """The tool over what the settings name; none where there is nothing to search.

    An index is opened here; what is open is closed with the block. Raises `SearchError`.
    """
    async with AsyncExitStack() as stack:
        if settings.url:
            from tool_service.tools.search.remote import remote_engine

            remote = await stack.enter_async_context(remote_engine(settings.url, settings.timeout_seconds))
            yield [_search(remote, settings.limit)]
        elif (opened := _documents(settings)) is not None:
            embedded = await stack.enter_async_context(aclosing(EmbeddedEngine(opened)))
            if settings.index:
                await embedded.open()  # a folder of documents is read when it is first searched
            yield [_search(embedded, settings.limit)]
        else:
            yield []


def _documents(settings: SearchSettings) -> Callable[[], Index] | None:
    """How to have the index of the documents; None where there are none."""
    if settings.index:
        return partial(open_index, Path(settings.index), settings.engine)
    folder = Path(settings.folder or DOCUMENTATION)
    if settings.folder and not folder.is_dir():
        raise SearchError(f"search.folder: there is no folder {folder}")
    return partial(index_in_memory, folder, settings.engine or "fts5") if folder.is_dir() else None


def _search(engine: Engine, usual: int) -> Tool:
    @tool(effect=Effect.READ)
    async def search(
        query: Stream[str],
        site: Arg[str] = "",  # type: ignore[assignment]  # a default is the value that the Arg resolves to
        limit: Arg[int] = usual,  # type: ignore[assignment]
        speculate: Arg[bool] = False,  # type: ignore[assignment]
    ) -> list[Hit]:
        """Search by words; the best hits first.

        Args:
            query: Words to look for.
            site: Only here: a file or folder of the documents; on the web, a host such as docs.python.org.
            limit: How many hits, at most 50.
            speculate: Search while the query is still being written. Give it before the query.
        """
        await engine.open()  # the index or the connection, while the query is being decoded
        found = await Found.of_stream(engine, query, speculate)  # goes on while the filters are being decoded
        return await found.narrowed(await site, await limit)

    return search
