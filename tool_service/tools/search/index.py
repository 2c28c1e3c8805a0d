"""Full text search over a folder of documents, with SQLite's FTS5 in memory.

`SearchIndex` is built once and read from any thread: calls take a lock, one after the other, and each takes
milliseconds. From asyncio: `await asyncio.to_thread(index.search, "a query")`, and `await
asyncio.to_thread(SearchIndex.build, folder)`.
"""

import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Self

from tool_service.tools.search.documents import SUFFIXES, sections

MAX_HITS = 50
MAX_TERM_COUNT = 32
MAX_TERM_CHARS = 64

_WORD = re.compile(r"[^\W_]+")

_CREATE = """
    CREATE VIRTUAL TABLE section
    USING fts5(title, body, path UNINDEXED, tokenize = 'porter unicode61 remove_diacritics 2')
"""
_SEARCH = """
    SELECT path, title, snippet(section, 1, '', '', '…', 40), -bm25(section, 4.0, 1.0)
    FROM section
    WHERE section MATCH :match
    AND (:within = '' OR path = :within OR substr(path, 1, length(:within) + 1) = :within || '/')
    ORDER BY bm25(section, 4.0, 1.0), rowid
    LIMIT :limit
"""


class NothingToSearch(Exception):
    """The folder is missing or has no documents."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A section that matches.

    `path` is relative to the folder; `title` is the headings above the section, outermost first; `snippet` is the
    part of its text around the match; a higher `score` is better, and scores of two searches are not comparable.
    """

    path: str
    title: str
    snippet: str
    score: float


class SearchIndex:
    """An index in memory. Does not follow later changes of the folder."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._lock = Lock()

    @classmethod
    def build(cls, folder: Path) -> Self:
        """Reads the documents of a folder and of those in it; see `documents.sections`. Raises `NothingToSearch`."""
        if not folder.is_dir():
            raise NothingToSearch(f"There is no folder {folder} to search.")
        database = sqlite3.connect(":memory:", check_same_thread=False)  # the lock sees to it
        try:
            rows = ((section.path, section.title, section.body) for section in sections(folder))
            database.execute(_CREATE)
            count = database.executemany("INSERT INTO section (path, title, body) VALUES (?, ?, ?)", rows).rowcount
            if count < 1:
                raise NothingToSearch(f"The folder {folder} has no documents ({', '.join(SUFFIXES)}) to search.")
            database.commit()
        except BaseException:
            database.close()
            raise
        return cls(database)

    def search(self, query: str, limit: int = 5, path_filter: str | None = None) -> list[Hit]:
        """The best sections, best first: those with all words of the query, or if there are none, with any of them.

        A query is words and nothing else: no character in it has a meaning. `path_filter` is a file or a folder,
        relative to the indexed one.
        """
        words = _words(query)
        within = (path_filter or "").strip().removeprefix("./").strip("/")
        limit = max(1, min(limit, MAX_HITS))
        return self._matching(" AND ".join(words), limit, within) or self._matching(" OR ".join(words), limit, within)

    def close(self) -> None:
        """Frees the memory; nothing can be searched after it."""
        with self._lock:
            self._database.close()

    def _matching(self, match: str, limit: int, within: str) -> list[Hit]:
        if not match:
            return []
        with self._lock:
            rows = self._database.execute(_SEARCH, {"match": match, "limit": limit, "within": within})
            return [Hit(*row) for row in rows]


def _words(query: str) -> list[str]:
    """The query's words, each in quotes, so that FTS5 takes none for an operator."""
    words = dict.fromkeys(word[:MAX_TERM_CHARS].lower() for word in _WORD.findall(query))
    return [f'"{word}"' for word in list(words)[:MAX_TERM_COUNT]]
