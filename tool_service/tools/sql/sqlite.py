"""`sql` on SQLite: this side of the process in which a call's connection lives.

Such a process takes a tenth of a second to start, most of it for Python. So one is kept that has started and waits to
be told its database, whichever that will be.
"""

import asyncio
import atexit
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

from protos.rpc.endings import how_it_ended
from tool_service.execution.json_lines import JsonLines
from tool_service.execution.to_the_end import to_the_end
from tool_service.interface import Reject
from tool_service.tools.sql.database import DatabaseSettingError, committed, failed
from tool_service.tools.sql.settings import SqlSettings
from tool_service.tools.sql.splitter import Dialect

CHILD = Path(__file__).with_name("sqlite_child.py")
OPEN_SECONDS = 10.0
STOP_SECONDS = 0.1  # how long a process that is told to end may take to roll back
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
        configuration = {
            "uri": f"file:{quote(str(path))}?mode={mode}",
            "cpu_seconds": math.ceil(settings.call_seconds),
            **settings.model_dump(include={"writable", "max_rows", "max_bytes", "lock_seconds"}),
        }
        self._configuration = json.dumps(configuration)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator["SqliteTransaction"]:
        """See `Database`. A process for each call, so nothing of one, temporary tables included, is seen by another."""
        child = SPARE.take()
        try:
            await child.open(self._configuration)
            transaction = SqliteTransaction(child, self._settings)
            await transaction.opened()
            yield transaction
        finally:
            await to_the_end(child.end())
            SPARE.refill()


class SqliteProcess:
    """The process, and the socket that is its input and output. Whoever makes one opens a database and ends it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._lines: JsonLines | None = None
        try:
            self._popen = _start(theirs)
        except BaseException:
            self._socket.close()
            raise
        finally:
            theirs.close()

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._popen.poll() is None

    async def open(self, configuration: str) -> None:
        """Tells it its database; `answer` says when that is open."""
        self._lines = await JsonLines.over(self._socket)
        await self.ask("open", configuration)

    async def ask(self, kind: str, text: str) -> None:
        """Sends a request. A process that has ended takes it silently: `answer` tells."""
        assert self._lines is not None
        await self._lines.send([kind, text])

    async def answer(self) -> str | None:
        """More output, or None when all is done. Raises SqliteError."""
        assert self._lines is not None
        try:
            kind, text = await self._lines.receive()
        except EOFError:
            how = how_it_ended(await asyncio.to_thread(self._popen.wait))
            raise SqliteLost(f"SQLite's process {how}; too much memory is a likely cause") from None
        except ValueError:
            raise SqliteLost("SQLite's process gave an answer that makes no sense") from None
        if kind == "error":
            raise SqliteError(text)
        return text if kind == "text" else None

    async def end(self) -> None:
        """Ends it, which rolls back; kills it where it does not listen."""
        self._popen.send_signal(signal.SIGTERM)
        if self._lines is None:
            self._socket.close()
        else:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await self._lines.hang_up()
            self._lines.close()
        self._popen.kill()
        await asyncio.to_thread(self._popen.wait)

    def abandon(self) -> None:
        """Kills it, where no database was opened."""
        self._socket.close()
        self._popen.kill()
        self._popen.wait()


class Spare:
    """A process that waits for its database. One is enough: the next is started when a call has ended."""

    def __init__(self) -> None:
        self._process: SqliteProcess | None = None

    def take(self) -> SqliteProcess:
        """The one that waits, or a new one. Raises OSError where none can be started."""
        process, self._process = self._process, None
        if process is not None and process.is_alive:
            return process
        if process is not None:
            process.abandon()
        return SqliteProcess()

    def refill(self) -> None:
        """Has one that waits, if that can be."""
        if self._process is None:
            with contextlib.suppress(OSError):
                self._process = SqliteProcess()

    def close(self) -> None:
        """Ends it."""
        process, self._process = self._process, None
        if process is not None:
            process.abandon()


SPARE = Spare()
atexit.register(SPARE.close)


def _start(channel: socket.socket) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(CHILD), str(os.getpid())],
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
