"""Completions that have ended, in SQLite.

One thread has the connection and does one thing after the other, so nothing here holds up the event loop. Events are
compressed as one piece: 2,000 tokens take some 30 KiB. Several gateways may share a file.
"""

import asyncio
import json
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gateway.archive.recording import Summary

MAX_BYTES = 256 << 20  # of requests and compressed events
_VERSION = 1
_LENGTH_BYTES = 4
_BUSY_SECONDS = 5.0  # for another gateway to have written
_IN_MEMORY = ":memory:"
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS completions (
    caller TEXT NOT NULL, id TEXT NOT NULL, begun_at REAL NOT NULL, summary TEXT NOT NULL,
    request BLOB NOT NULL, events BLOB NOT NULL, PRIMARY KEY (caller, id)
) STRICT;
CREATE INDEX IF NOT EXISTS newest ON completions (begun_at DESC);
PRAGMA user_version = {_VERSION};
"""
# Those that are older than the newest `most`, or than the newest that have MAX_BYTES together.
_PRUNE = f"""
DELETE FROM completions WHERE rowid IN (
    SELECT rowid FROM (
        SELECT rowid, row_number() OVER newest_first AS place,
               sum(length(request) + length(events)) OVER newest_first AS bytes
        FROM completions WINDOW newest_first AS (ORDER BY begun_at DESC, rowid DESC)
    ) WHERE place > ? OR bytes > {MAX_BYTES}
)
"""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Kept:
    """A completion as it was asked for and as it went; `request` and `events` are serialized messages."""

    caller: str
    summary: Summary
    request: bytes
    events: tuple[bytes, ...]


class Store:
    """The last `most` completions in the file at `path`; in memory where that is empty."""

    def __init__(self, path: str, most: int) -> None:
        self._path = path or _IN_MEMORY
        self._most = most
        self._thread = ThreadPoolExecutor(1, "completions")
        self._database: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Opens the file, and makes it where it is missing. Raises OSError with the path where that cannot be."""
        try:
            self._database = await asyncio.get_running_loop().run_in_executor(self._thread, _connected, self._path)
        except (sqlite3.Error, OSError) as error:
            raise OSError(f"cannot keep completions in {self._path}: {error}") from error

    async def close(self) -> None:
        """Closes it, when what was to be written is."""
        if self._database is not None:
            await self._run(lambda database: database.close())
            self._database = None
        self._thread.shutdown(wait=False)

    async def put(self, completion: Kept) -> None:
        """Keeps it, in place of one with the same id, and forgets the oldest where there are too many."""
        await self._run(lambda database: _put(database, completion, self._most))

    async def recent(self, caller: str, most: int) -> list[Summary]:
        """The newest ones that `caller` asked for, newest first."""
        return await self._run(lambda database: _recent(database, caller, most))

    async def find(self, caller: str, request_id: str) -> Kept | None:
        """One of the caller's."""
        return await self._run(lambda database: _find(database, caller, request_id))

    async def forget(self, caller: str, request_id: str) -> bool:
        """Whether there was one."""
        return await self._run(lambda database: _forget(database, caller, request_id))

    async def _run(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Raises OSError where the file lets us down: it is locked, full, or broken."""
        database = self._database
        if database is None:
            raise OSError("the store of completions is not open")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, database)
        except sqlite3.Error as error:
            raise OSError(f"completions in {self._path}: {error}") from error


def _connected(path: str) -> sqlite3.Connection:
    if path != _IN_MEMORY:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # what people asked is nobody else's to read
    database = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False, isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, _VERSION):
            raise OSError(f"another version of Conveyor made it ({version}, not {_VERSION}); name another file")
        database.executescript(_SCHEMA)
    except BaseException:
        database.close()
        raise
    return database


def _put(database: sqlite3.Connection, kept: Kept, most: int) -> None:
    summary = kept.summary
    row = (kept.caller, summary.id, summary.begun_at, json.dumps(summary.to_json()), kept.request, _packed(kept.events))
    with database:
        database.execute("BEGIN IMMEDIATE")
        database.execute("INSERT OR REPLACE INTO completions VALUES (?, ?, ?, ?, ?, ?)", row)
        database.execute(_PRUNE, (most,))


def _recent(database: sqlite3.Connection, caller: str, most: int) -> list[Summary]:
    rows = database.execute(
        "SELECT summary FROM completions WHERE caller = ? ORDER BY begun_at DESC LIMIT ?", (caller, most)
    )
    return [Summary.from_json(text) for (text,) in rows]


def _find(database: sqlite3.Connection, caller: str, request_id: str) -> Kept | None:
    row = database.execute(
        "SELECT summary, request, events FROM completions WHERE caller = ? AND id = ?", (caller, request_id)
    ).fetchone()
    if row is None:
        return None
    summary, request, events = row
    return Kept(caller, Summary.from_json(summary), request, tuple(_unpacked(events)))


def _forget(database: sqlite3.Connection, caller: str, request_id: str) -> bool:
    return database.execute("DELETE FROM completions WHERE caller = ? AND id = ?", (caller, request_id)).rowcount > 0


def _packed(events: Iterable[bytes]) -> bytes:
    return zlib.compress(b"".join(len(event).to_bytes(_LENGTH_BYTES) + event for event in events), level=1)


def _unpacked(packed: bytes) -> Iterator[bytes]:
    data, at = zlib.decompress(packed), 0
    while at < len(data):
        begin = at + _LENGTH_BYTES
        at = begin + int.from_bytes(data[at:begin])
        yield data[begin:at]
