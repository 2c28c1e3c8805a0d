"""What calls have done to the world, by their keys, so that none does it twice: not when a completion is tried again,
and not after a crash.

    begin ─▶ Fresh ─▶ (the tool acts) ─▶ finish
          ─▶ Repeated: it acted before, and this was its outcome
          ─▶ Interrupted: it began and nobody knows how far it came; it never begins again
          ─▶ KeyReused: the key is another call's

`look` says the same without beginning; `withdraw` takes back a beginning after which nothing was done.
A call's key is the completion's request id and the call's id in it, so a client that repeats a request under its old id
gets the old results. The file outlives the service; services on one machine may share it. Kept for `KEEP_DAYS`.
"""

import asyncio
import contextlib
import functools
import hashlib
import json
import math
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tool_service.execution.events import Failure

KEEP_DAYS = 7
PRUNE_SECONDS = 3600.0
BUSY_SECONDS = 5.0

T = TypeVar("T")

_CREATE = """
    CREATE TABLE IF NOT EXISTS effect (
        key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, begun REAL NOT NULL, outcome TEXT
    ) WITHOUT ROWID
"""


class JournalError(Exception):
    """The journal cannot be read or written, so nothing may act; the message says why."""


@dataclass(frozen=True, slots=True)
class Fresh:
    """The call may act: this key has not been used."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """The call acted before."""

    outcome: str | Failure


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The call began before, and its outcome is not known."""


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The key belongs to a call of another tool or with other arguments."""


Verdict = Fresh | Repeated | Interrupted | KeyReused


class EffectJournal:
    """A file of SQLite, or memory where `path` is None. Opened when first used, in a thread of its own.

    Every method but `aclose` raises JournalError where the file cannot be used.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._database: sqlite3.Connection | None = None
        self._pruned = -math.inf

    async def open(self) -> None:
        """Opens the file now, so that one that cannot be used is known early."""
        await self._run(lambda database: None)

    async def knows(self, key: str) -> bool:
        """Whether a call has begun under this key, whatever call it was."""
        return await self._run(lambda database: _knows(database, key))

    async def look(self, key: str, tool: str, arguments_json: str, *, again: bool = False) -> Verdict:
        """What `begin` would say."""
        fingerprint = _fingerprint(tool, arguments_json)
        return await self._run(lambda database: _look(database, key, fingerprint, again))

    async def begin(self, key: str, tool: str, arguments_json: str, *, again: bool = False) -> Verdict:
        """Notes that a call is about to act. `again`: one whose outcome is not known may act again."""
        fingerprint = _fingerprint(tool, arguments_json)
        return await self._run(lambda database: _begin(database, key, fingerprint, again))

    async def finish(self, key: str, outcome: str | Failure) -> None:
        """Notes the outcome of a call that has acted, even when it is cancelled meanwhile."""
        text = json.dumps(outcome if isinstance(outcome, str) else [outcome.code, outcome.message])
        await asyncio.shield(self._run(lambda database: _finish(database, key, text)))

    async def withdraw(self, key: str) -> None:
        """Forgets a call that began and then did not act, even when it is cancelled meanwhile."""
        await asyncio.shield(self._run(lambda database: _withdraw(database, key)))

    async def aclose(self) -> None:
        """Closes the file, after what was asked before; may be called again."""
        with contextlib.suppress(RuntimeError):  # closed before
            await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Task[T]:
        return asyncio.create_task(self._in_thread(work))

    async def _in_thread(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, functools.partial(self._do, work))
        except (sqlite3.Error, OSError, RuntimeError) as error:  # RuntimeError: it is closed
            where = f" {self._path}" if self._path else ""
            raise JournalError(f"the journal of effects{where} cannot be used: {error}") from error

    def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._database is None:
            self._database = _open(self._path)
        if time.monotonic() - self._pruned > PRUNE_SECONDS:
            self._database.execute("DELETE FROM effect WHERE begun < ?", (time.time() - KEEP_DAYS * 86_400,))
            self._pruned = time.monotonic()
        return work(self._database)

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


def _fingerprint(tool: str, arguments_json: str) -> str:
    return hashlib.sha256(f"{tool}\0{arguments_json}".encode("utf-8", "surrogatepass")).hexdigest()


def _open(path: Path | None) -> sqlite3.Connection:
    if path is not None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)  # it holds results; what SQLite puts beside it has the same rights
    database = sqlite3.connect(path or ":memory:", timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")  # what is noted is on the disk before the tool acts
        database.execute(_CREATE)
    except sqlite3.Error:
        database.close()
        raise
    return database


def _begin(database: sqlite3.Connection, key: str, fingerprint: str, again: bool) -> Verdict:
    row = (key, fingerprint, time.time())
    if database.execute("INSERT OR IGNORE INTO effect (key, fingerprint, begun) VALUES (?, ?, ?)", row).rowcount:
        return Fresh()
    return _look(database, key, fingerprint, again)


def _knows(database: sqlite3.Connection, key: str) -> bool:
    return database.execute("SELECT 1 FROM effect WHERE key = ?", (key,)).fetchone() is not None


def _look(database: sqlite3.Connection, key: str, fingerprint: str, again: bool) -> Verdict:
    noted = database.execute("SELECT fingerprint, outcome FROM effect WHERE key = ?", (key,)).fetchone()
    if noted is None:
        return Fresh()
    known, outcome = noted
    if known != fingerprint:
        return KeyReused()
    if outcome is None:
        return Fresh() if again else Interrupted()
    told = json.loads(outcome)
    return Repeated(told if isinstance(told, str) else Failure(*told))


def _finish(database: sqlite3.Connection, key: str, outcome: str) -> None:
    database.execute("UPDATE effect SET outcome = ? WHERE key = ?", (outcome, key))


def _withdraw(database: sqlite3.Connection, key: str) -> None:
    database.execute("DELETE FROM effect WHERE key = ? AND outcome IS NULL", (key,))
