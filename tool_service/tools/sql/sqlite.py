"""`sql` on SQLite: this side of the process in which a call's connection lives."""

import asyncio
import contextlib
import json
import math
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

from tool_service.interface import Reject
from tool_service.tools.sql.database import DatabaseSettingError, failed
from tool_service.tools.sql.settings import SqlSettings
from tool_service.tools.sql.splitter import Dialect

CHILD = Path(__file__).with_name("sqlite_child.py")
OPEN_SECONDS = 10.0
STOP_SECONDS = 0.1  # how long a process that is told to end may take to roll back
LINE_BYTES = 32 << 20  # the longest answer: a batch of rows within the limit of bytes, as JSON


class SqliteDatabase:
    """A file. Raises DatabaseSettingError where there is none."""

    dialect = Dialect.SQLITE

    def __init__(self, settings: SqlSettings) -> None:
        path = Path(settings.database).absolute()
        if not path.is_file():
            raise DatabaseSettingError(f"sql.database: there is no file {path}; an empty one is an empty database")
        self._statement_seconds = settings.statement_seconds
        mode = "rw" if settings.writable else "ro"
        self._configuration = {
            "uri": f"file:{quote(str(path))}?mode={mode}",
            "cpu_seconds": math.ceil(settings.call_seconds),
            **settings.model_dump(include={"writable", "row_limit", "byte_limit", "lock_seconds"}),
        }

    @asynccontextmanager
    async def begin(self) -> AsyncIterator["SqliteTransaction"]:
        """See `Database`. A process for each call, so nothing of one, temporary tables included, is seen by another."""
        configuration = json.dumps({**self._configuration, "parent": os.getpid()})
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(CHILD), configuration),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={},
            cwd="/",
            start_new_session=True,
            limit=LINE_BYTES,
        )
        transaction = SqliteTransaction(process, self._statement_seconds)
        try:
            await transaction.opened()
            yield transaction
        finally:
            await asyncio.shield(asyncio.create_task(_end(process)))


class SqliteTransaction:
    """A transaction in a process. See `Transaction`."""

    def __init__(self, process: asyncio.subprocess.Process, statement_seconds: float) -> None:
        self._process = process
        self._statement_seconds = statement_seconds

    async def opened(self) -> None:
        """Waits until the database is open."""
        with _as_rejection("the database cannot be opened"):
            async with asyncio.timeout(OPEN_SECONDS):
                await self._answer()

    async def run(self, statement: str) -> AsyncIterator[str]:
        """See `Transaction`."""
        deadline = asyncio.get_running_loop().time() + self._statement_seconds
        self._ask("run", statement)
        try:
            while True:
                async with asyncio.timeout_at(deadline):
                    text = await self._answer()
                if text is None:
                    return
                yield text
        except TimeoutError:
            raise failed(f"stopped after {self._statement_seconds:g} seconds", statement) from None
        except _Failed as error:
            raise failed(str(error), statement) from None

    async def commit(self) -> str:
        """See `Transaction`."""
        with _as_rejection("not committed"):
            self._ask("commit", "")
            await self._answer()
        return ""

    def _ask(self, kind: str, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([kind, text]).encode() + b"\n")

    async def _answer(self) -> str | None:
        """More output, or None when all is done. Raises _Failed."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            status = await self._process.wait()
            raise _Failed(f"SQLite's process ended with status {status}; too much memory is a likely cause")
        kind, text = json.loads(line)
        if kind == "error":
            raise _Failed(text)
        return text if kind == "text" else None


class _Failed(Exception):
    """What the process said of a failure."""


@contextlib.contextmanager
def _as_rejection(what: str) -> Iterator[None]:
    try:
        yield
    except _Failed as error:
        raise Reject(f"{what}: {error}") from None
    except TimeoutError:
        raise Reject(f"{what}: no answer within {OPEN_SECONDS:g} seconds") from None


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ends the process, which rolls back; kills it where it does not listen."""
    assert process.stdin is not None
    process.stdin.close()
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
