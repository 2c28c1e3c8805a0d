"""What a search engine is, and what it finds."""

from dataclasses import dataclass
from typing import Protocol

WIDEST = 50  # hits of one search, at most


class SearchError(Exception):
    """A search failed, or cannot be offered. The message is a short sentence for whoever reads it."""


@dataclass(frozen=True, slots=True)
class Hit:
    """Something that was found.

    `source` says where: a document's path below the folder that was indexed, or an address on the web. `title` is the
    headings above the section, outermost first, or the page's title; `snippet` is the text around the match.
    """

    source: str
    title: str
    snippet: str


class Engine(Protocol):
    """Finds the best hits for a query. The same question has the same answer.

    `site` narrows a search down: for documents a file or folder, on the web a host. An empty one is everything.
    """

    async def open(self) -> None:
        """Does all that needs no query: opens the index, or the connection. May be called again and again."""
        ...

    async def search(self, query: str, limit: int, site: str = "") -> list[Hit]:
        """At most `limit` hits of this site, best first. Raises `SearchError`."""
        ...

    def covers(self, site: str, hit: Hit) -> bool:
        """Whether the site has the hit. Raises `SearchError` for what is no site."""
        ...

    async def aclose(self) -> None:
        """Frees what it has. May be called more than once."""
        ...


class Index(Protocol):
    """An index of documents on this machine; blocks, and may be asked from any thread."""

    def search(self, query: str, limit: int, within: str = "") -> list[Hit]:
        """At most `limit` sections, best first; `within` is a file or folder as `site_path` gives it."""
        ...

    def close(self) -> None:
        """Frees it; nothing can be searched after it. May be called more than once."""
        ...
