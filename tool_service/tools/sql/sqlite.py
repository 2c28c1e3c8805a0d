"""`sql` on SQLite: this side of the process in which a call's connection lives."""

import asyncio
import contextlib
import json
import math
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

from tool_service.interface import Reject
from tool_service.tools.sql.database import DatabaseSettingError, committed, failed
from tool_service.tools.sql.settings import SqlSettings
from tool_service.tools.sql.splitter import Dialect

CHILD = Path(__file__).with_name("sqlite_child.py")
OPEN_SECONDS = 10.0
STOP_SECONDS = 0.1  # how long a process that is told to end may take to roll back
CHUNK_BYTES = 1 << 16
NO_ENVIRONMENT: dict[str, str] = {}


class SqliteDatabase:
    """A file. Raises DatabaseSettingError where there is none."""

    dialect = Dialect.SQLITE

    def __init__(self, settings: SqlSettings) -> None:
        path = Path(settings.database).absolute()
        if not path.is_file():
            raise DatabaseSettingError(f"sql.database: there is no file {path}; an empty one is an empty database")
        self._settings = settings
        mode = "rw" if settings.writable else "ro"
        self._configuration = {
            "uri": f"file:{quote(str(path))}?mode={mode}",
            "cpu_seconds": math.ceil(settings.call_seconds),
            **settings.model_dump(include={"writable", "row_limit", "byte_limit", "lock_seconds"}),
        }

    @asynccontextmanager
    async def begin(self) -> AsyncIterator["SqliteTransaction"]:
        """See `Database`. A process for each call, so nothing of one, temporary tables included, is seen by another."""
        child = SqliteProcess(json.dumps({**self._configuration, "parent": os.getpid()}))
        try:
            transaction = SqliteTransaction(child, self._settings)
            await transaction.opened()
            yield transaction
        finally:
            await asyncio.shield(asyncio.create_task(child.end()))


class SqliteProcess:
    """The process, and the socket that is its input and output. Whoever makes one ends it."""

    def __init__(self, configuration: str) -> None:
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        self._received = bytearray()
        try:
            self._popen = _start(configuration, theirs)
        except BaseException:
            self._socket.close()
            raise
        finally:
            theirs.close()

    async def ask(self, kind: str, text: str) -> None:
        """Sends a request. A process that has ended takes it silently: `answer` tells."""
        with contextlib.suppress(ConnectionError):
            data = json.dumps([kind, text]).encode() + b"\n"
            await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def answer(self) -> str | None:
        """More output, or None when all is done. Raises SqliteError."""
        line = await self._line()
        if not line:
            status = await asyncio.to_thread(self._popen.wait)
            raise SqliteLost(f"SQLite's process ended with status {status}; too much memory is a likely cause")
        kind, text = json.loads(line)
        if kind == "error":
            raise SqliteError(text)
        return text if kind == "text" else None

    async def end(self) -> None:
        """Ends it, which rolls back; kills it where it does not listen."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        self._popen.send_signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                while await self._receive():  # its end closes the socket
                    pass
        self._popen.kill()
        self._socket.close()
        await asyncio.to_thread(self._popen.wait)

    async def _line(self) -> bytes:
        """The next line; empty when the process has ended."""
        begin = 0
        while (end := self._received.find(b"\n", begin)) < 0:
            begin = len(self._received)
            if not (data := await self._receive()):
                return b""
            self._received += data
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line

    async def _receive(self) -> bytes:
        with contextlib.suppress(ConnectionError):
            return await asyncio.get_running_loop().sock_recv(self._socket, CHUNK_BYTES)
        return b""


def _start(configuration: str, channel: socket.socket) -> subprocess.Popen[bytes]:
    """Starts the process. asyncio's own way would run gRPC's handlers of forks under uvloop; this one does not."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(CHILD), configuration],
        stdin=channel.fileno(),
        stdout=channel.fileno(),
        stderr=subprocess.DEVNULL,
        env=NO_ENVIRONMENT,
        cwd="/",
        start_new_session=True,
    )


class SqliteTransaction:
    """A transaction in a process. See `Transaction`."""

    def __init__(self, child: SqliteProcess, settings: SqlSettings) -> None:
        self._child = child
        self._settings = settings

    async def opened(self) -> None:
        """Waits until the database is open."""
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await self._child.answer()
        except SqliteError as error:
            raise Reject(f"the database cannot be opened: {error}") from None
        except TimeoutError:
            raise Reject(f"the database cannot be opened: no answer within {OPEN_SECONDS:g} seconds") from None

    async def run(self, statement: str) -> AsyncIterator[str]:
        """See `Transaction`."""
        deadline = asyncio.get_running_loop().time() + self._settings.statement_seconds
        try:
            async with asyncio.timeout_at(deadline):
                await self._child.ask("run", statement)
            while True:
                async with asyncio.timeout_at(deadline):
                    text = await self._child.answer()
                if text is None:
                    return
                yield text
        except TimeoutError:
            raise failed(f"stopped after {self._settings.statement_seconds:g} seconds", statement) from None
        except SqliteError as error:
            raise failed(str(error), statement) from None

    async def commit(self) -> str:
        """See `Transaction`."""
        await self._child.ask("commit", "")
        try:
            await self._child.answer()
        except SqliteLost as error:
            raise Reject(f"it is not known whether the changes were committed: {error}") from None
        except SqliteError as error:
            raise Reject(f"not committed: {error}") from None
        return committed(self._settings)


class SqliteError(Exception):
    """What the process said of a failure."""


class SqliteLost(SqliteError):
    """The process has ended."""
