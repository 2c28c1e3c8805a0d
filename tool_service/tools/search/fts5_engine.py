"""Full text search with SQLite's FTS5, in memory or in a file that is only read.

An index is built once and read from any thread: searches take a lock, one after the other, and each takes milliseconds.
Hits are the sections with all words of the query; if there are none, those with the last word as the beginning of one;
if there are none, those with any of the words.
"""

import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from typing import Self
from urllib.parse import quote

from tool_service.tools.search.documents import Section
from tool_service.tools.search.engine import Hit, SearchError
from tool_service.tools.search.words import may_be_beginning, words_of

FILE = "sections.sqlite"
SEARCH_SECONDS = 5.0  # then a search is stopped
_STEPS = 100_000  # of SQLite's machine between two looks at the clock

_CREATE = """
    CREATE VIRTUAL TABLE section
    USING fts5(title, body, path UNINDEXED, tokenize = 'porter unicode61 remove_diacritics 2')
"""
_INSERT = "INSERT INTO section (path, title, body) VALUES (?, ?, ?)"
# Snippets are made of the best sections only, not of all that match.
_SEARCH = """
    SELECT path, title, snippet(section, 1, '', '', '…', 40)
    FROM (
        SELECT rowid AS best, bm25(section, 4.0, 1.0) AS score
        FROM section
        WHERE section MATCH :match
        AND (:within = '' OR path = :within OR substr(path, 1, length(:within) + 1) = :within || '/')
        ORDER BY score, rowid
        LIMIT :limit
    )
    JOIN section ON section.rowid = best
    WHERE section MATCH :match
    ORDER BY score, best
"""


class Fts5Index:
    """An index. Does not follow later changes of the documents."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._lock = Lock()
        self._stop_at = float("inf")
        database.set_progress_handler(lambda: time.monotonic() > self._stop_at, _STEPS)

    @classmethod
    def build(cls, sections: Iterable[Section], folder: Path | None = None) -> Self:
        """Indexes sections, in a folder or in memory."""
        target = ":memory:" if folder is None else str(folder / FILE)
        database = sqlite3.connect(target, check_same_thread=False)  # the lock sees to it
        try:
            database.execute("PRAGMA journal_mode = OFF")  # what is not built to its end is thrown away
            database.execute("PRAGMA synchronous = OFF")
            database.execute(_CREATE)
            database.executemany(_INSERT, ((section.path, section.title, section.body) for section in sections))
            database.execute("INSERT INTO section(section) VALUES ('optimize')")
            database.commit()
        except BaseException:
            database.close()
            raise
        return cls(database)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Opens the index in a folder, which nobody may change meanwhile. Raises `SearchError`."""
        address = f"file:{quote(str((folder / FILE).absolute()))}?mode=ro&immutable=1"
        try:
            database = sqlite3.connect(address, uri=True, check_same_thread=False)
            database.execute("SELECT 1 FROM section LIMIT 1").fetchall()
        except sqlite3.Error as error:
            raise SearchError(f"{folder / FILE} cannot be read: {error}") from error
        return cls(database)

    def search(self, query: str, limit: int, within: str = "") -> list[Hit]:
        """At most `limit` sections, best first. Raises `SearchError`."""
        for match in _matches(words_of(query)):
            if hits := self._matching(match, limit, within):
                return hits
        return []

    def close(self) -> None:
        """Frees it."""
        with self._lock:
            self._database.close()

    def _matching(self, match: str, limit: int, within: str) -> list[Hit]:
        with self._lock:
            self._stop_at = time.monotonic() + SEARCH_SECONDS
            try:
                rows = self._database.execute(_SEARCH, {"match": match, "limit": limit, "within": within})
                return [Hit(*row) for row in rows]
            except sqlite3.Error as error:
                late = time.monotonic() > self._stop_at
                cause = f"it took more than {SEARCH_SECONDS:g} s; use rarer words" if late else str(error)
                raise SearchError(f"the search failed: {cause}") from error


def _matches(words: list[str]) -> list[str]:
    """What FTS5 is asked, one after the other. Words are in quotes, so that it takes none for an operator."""
    quoted = [f'"{word}"' for word in words]
    if not quoted:
        return []
    beginning = [" AND ".join([*quoted[:-1], f"{quoted[-1]} *"])] if may_be_beginning(words[-1]) else []
    return [" AND ".join(quoted), *beginning, *([" OR ".join(quoted)] if len(quoted) > 1 else [])]
