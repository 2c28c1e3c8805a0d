"""Completions that have ended, in SQLite.

Nothing here holds up the event loop: one thread writes and one reads, each with a connection of its own, so that who
reads does not wait for who writes. In memory there is one connection, and one thread. Events are compressed as one
piece: 2,000 tokens take some 30 KiB. Several gateways may share a file.

What people asked is nobody else's to read: the file is its owner's alone, and what is deleted is overwritten.
"""

import asyncio
import json
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog
from google.protobuf.message import DecodeError

from gateway.archive.summary import Summary
from protos.conveyor.gateway.v1 import gateway_pb2 as pb

MAX_BYTES = 256 << 20  # of the file, without its empty pages
BUSY_SECONDS = 1.0  # for another gateway to have written
_VERSION = 2  # 1 had other indices
_LENGTH_BYTES = 4
_IN_MEMORY = ":memory:"
# A row's place, `rowid`, says which ended last: the index of callers has them in that order.
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS completions (
    caller TEXT NOT NULL, id TEXT NOT NULL, begun_at REAL NOT NULL, summary TEXT NOT NULL,
    request BLOB NOT NULL, events BLOB NOT NULL, PRIMARY KEY (caller, id)
) STRICT;
DROP INDEX IF EXISTS newest;
CREATE INDEX IF NOT EXISTS begun ON completions (caller, begun_at DESC);
CREATE INDEX IF NOT EXISTS ended ON completions (caller);
PRAGMA user_version = {_VERSION};
COMMIT;
"""
_PRUNE_CALLER = """
DELETE FROM completions WHERE caller = ?1 AND rowid <= (
    SELECT rowid FROM completions WHERE caller = ?1 ORDER BY rowid DESC LIMIT 1 OFFSET ?2
)
"""
_PRUNE_OLDEST = "DELETE FROM completions WHERE rowid = (SELECT min(rowid) FROM completions)"

Result = TypeVar("Result")
log = structlog.get_logger()


class StoreError(OSError):
    """The file lets us down: it is locked, full, or broken."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A completion as it was asked for and as it went; `events` are serialized `CompleteResponse`s."""

    caller: str
    summary: Summary
    request: pb.CompleteRequest
    events: tuple[bytes, ...]


class Store:
    """The last `most` completions of each caller in the file at `path`; in memory where that is empty."""

    def __init__(self, path: str, most: int) -> None:
        self._path = path or _IN_MEMORY
        self._most = most
        self._writing = self._reading = _Connection(self._path)

    async def open(self) -> None:
        """Opens the file, and makes it where it is missing. Raises OSError with the path where that cannot be."""
        try:
            await self._writing.open(_made)
            if self._path != _IN_MEMORY:
                self._reading = _Connection(self._path)
                await self._reading.open(_connected)
        except (sqlite3.Error, OSError) as error:
            await self.close()
            raise OSError(f"cannot keep completions in {self._path}: {error}") from error

    async def close(self) -> None:
        """Closes it; what is being written is, where that takes no longer than another gateway may."""
        await asyncio.gather(self._reading.close(), self._writing.close())

    async def put(self, completions: Sequence[Kept]) -> None:
        """Keeps them, each in place of an earlier one with its id, and forgets the oldest where there are too many."""
        await self._writing.run(lambda database: _put(database, completions, self._most))

    async def recent(self, caller: str, most: int) -> list[Summary]:
        """The newest ones that `caller` asked for, newest first."""
        return await self._reading.run(lambda database: _recent(database, caller, most))

    async def find(self, caller: str, request_id: str) -> Kept | None:
        """One of the caller's."""
        return await self._reading.run(lambda database: _find(database, caller, request_id))

    async def forget(self, caller: str, request_id: str) -> bool:
        """Whether there was one."""
        return await self._writing.run(lambda database: _forget(database, caller, request_id))


class _Connection:
    """A connection, and the thread that has it and does one thing after the other."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, "completions")
        self._database: sqlite3.Connection | None = None

    async def open(self, connect: Callable[[str], sqlite3.Connection]) -> None:
        """Raises sqlite3.Error or OSError."""
        self._database = await asyncio.get_running_loop().run_in_executor(self._thread, connect, self._path)

    async def run(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Does it in the thread. Raises StoreError."""
        if self._database is None:
            raise StoreError("the store of completions is not open")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._database)
        except sqlite3.Error as error:
            raise StoreError(f"completions in {self._path}: {error}") from error

    async def close(self) -> None:
        """When the thread has done what it was given; it is not waited for longer than for a lock."""
        database, self._database = self._database, None
        if database is not None:
            closing = asyncio.get_running_loop().run_in_executor(self._thread, database.close)
            await asyncio.wait((closing,), timeout=BUSY_SECONDS)
        self._thread.shutdown(wait=False)


def _made(path: str) -> sqlite3.Connection:
    if path != _IN_MEMORY:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        for file in map(Path, (path, f"{path}-wal", f"{path}-shm")):
            with suppress(FileNotFoundError):
                file.chmod(0o600)
    database = _connected(path)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            raise OSError(f"another version of Conveyor made it ({version}, not {_VERSION}); name another file")
        if version != _VERSION:
            database.executescript(_SCHEMA)
    except BaseException:
        database.close()
        raise
    return database


def _connected(path: str) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None)
    database.text_factory = lambda text: text.decode(errors="replace")  # what is broken is found by who reads a row
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute("PRAGMA secure_delete = ON").fetchall()
    return database


def _put(database: sqlite3.Connection, completions: Sequence[Kept], most: int) -> None:
    rows = [
        (
            *(kept.caller, kept.summary.id, kept.summary.begun_at, json.dumps(kept.summary.to_json())),
            *(kept.request.SerializeToString(), _packed(kept.events)),
        )
        for kept in completions
    ]

    def write() -> None:
        for row in rows:
            # One that began later stays: a client tried again at another gateway, which was done first.
            database.execute("DELETE FROM completions WHERE caller = ? AND id = ? AND begun_at <= ?", row[:3])
            database.execute("INSERT OR IGNORE INTO completions VALUES (?, ?, ?, ?, ?, ?)", row)
        for caller in {kept.caller for kept in completions}:
            database.execute(_PRUNE_CALLER, (caller, most))
        while _bytes(database) > MAX_BYTES and database.execute(_PRUNE_OLDEST).rowcount:
            pass

    _written(database, write)


def _bytes(database: sqlite3.Connection) -> int:
    size, pages, empty = (
        database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
    )
    return int(size * (pages - empty))


def _recent(database: sqlite3.Connection, caller: str, most: int) -> list[Summary]:
    rows = database.execute(
        "SELECT id, summary FROM completions WHERE caller = ? ORDER BY begun_at DESC LIMIT ?", (caller, most)
    ).fetchall()
    read = (_readable(request_id, Summary.from_json, text) for request_id, text in rows)
    return [summary for summary in read if summary is not None]


def _find(database: sqlite3.Connection, caller: str, request_id: str) -> Kept | None:
    row = database.execute(
        "SELECT summary, request, events FROM completions WHERE caller = ? AND id = ?", (caller, request_id)
    ).fetchone()
    return None if row is None else _readable(request_id, _kept, caller, *row)


def _kept(caller: str, summary: str, request: bytes, events: bytes) -> Kept:
    asked = pb.CompleteRequest.FromString(request)
    return Kept(caller, Summary.from_json(summary), asked, tuple(_unpacked(events)))


def _readable(request_id: str, read: Callable[..., Result], *parts: str | bytes) -> Result | None:
    """None where a row is broken: it is as if there were none, but the log has it."""
    try:
        return read(*parts)
    except (ValueError, DecodeError, zlib.error) as error:
        # Not what the error says: it shows what it found.
        log.error("completion not readable", request_id=request_id, cause=type(error).__name__)
        return None


def _forget(database: sqlite3.Connection, caller: str, request_id: str) -> bool:
    def write() -> int:
        delete = "DELETE FROM completions WHERE caller = ? AND id = ?"
        return database.execute(delete, (caller, request_id)).rowcount

    there_was = _written(database, write) > 0
    if there_was:
        _checkpoint(database)  # the journal still has it
    return there_was


def _written(database: sqlite3.Connection, write: Callable[[], Result]) -> Result:
    """Writes all or nothing. Where the disk is full, what the journal takes up may be enough."""
    try:
        return _transaction(database, write)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
            raise
        _checkpoint(database)
        return _transaction(database, write)


def _transaction(database: sqlite3.Connection, write: Callable[[], Result]) -> Result:
    with database:
        database.execute("BEGIN IMMEDIATE")
        return write()


def _checkpoint(database: sqlite3.Connection) -> None:
    """Empties the journal into the file, unless somebody reads it just now."""
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _packed(events: Iterable[bytes]) -> bytes:
    return zlib.compress(b"".join(len(event).to_bytes(_LENGTH_BYTES) + event for event in events), level=1)


def _unpacked(packed: bytes) -> Iterator[bytes]:
    data, at = zlib.decompress(packed), 0
    while at < len(data):
        begin = at + _LENGTH_BYTES
        at = begin + int.from_bytes(data[at:begin])
        yield data[begin:at]
