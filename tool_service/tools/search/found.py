"""One search in two steps: wide when the query is known, narrowed down when the filters are."""

from dataclasses import dataclass
from typing import Self

from tool_service.interface import Arg, Stream
from tool_service.tools.search.engine import WIDEST, Engine, Hit
from tool_service.tools.search.speculation import Prefixes, Speculation


@dataclass(frozen=True, slots=True)
class Found:
    """All hits for a query, from everywhere, at most `WIDEST`."""

    engine: Engine
    query: str
    hits: list[Hit]

    @classmethod
    async def of(cls, engine: Engine, query: str) -> Self:
        """Searches for a query. Raises `SearchError`."""
        query = _plain(query)
        return cls(engine, query, await engine.search(query, WIDEST))

    @classmethod
    async def of_stream(cls, engine: Engine, query: Stream[str], speculate: Arg[bool]) -> Self:
        """Searches for a query when it is sealed; with `speculate` sealed and true, also for what there is of it."""
        async with Speculation(engine) as speculation:
            text = ""
            async for piece in query.units(Prefixes(speculate)):
                text += piece
                speculation.search(_plain(text))
            return cls(engine, _plain(text), await speculation.hits(_plain(text)))

    async def narrowed(self, site: str, limit: int) -> list[Hit]:
        """The best hits of a site: what a search of it alone would give. Raises `SearchError`.

        Where the limit of the wide search may hide some, or only fewer of the words are to be found there, it is
        searched again.
        """
        limit = max(1, min(limit, WIDEST))
        covered = [hit for hit in self.hits if self.engine.covers(site, hit)]
        is_all = len(self.hits) < WIDEST and bool(covered)
        if len(covered) >= limit or is_all or not self.hits:
            return covered[:limit]
        return await self.engine.search(self.query, limit, site)


def _plain(query: str) -> str:
    return " ".join(query.split())
