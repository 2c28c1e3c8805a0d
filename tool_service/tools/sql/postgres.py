"""`sql` on PostgreSQL, through psycopg.

Statements go by the extended protocol, which takes one at a time: it is parsed and described first, which finds unknown
names before anything runs, and then run. Rows are asked for, never poured out:

* a query is read through a cursor, as many rows as are shown;
* rows of INSERT … RETURNING and its like are bounded by a query around it;
* what is neither (EXPLAIN, SHOW, WITH … INSERT) is read row by row, and what is too much dropped.

Queries are wrapped so that the server cuts long values, too.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import psycopg
import structlog
from psycopg import errors, generators, pq
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq.abc import PGresult

from tool_service.interface import Reject
from tool_service.tools.plain_text import plain
from tool_service.tools.sql.database import DatabaseSettingError, committed, failed
from tool_service.tools.sql.postgres_rules import is_change, is_plain_read, refusal
from tool_service.tools.sql.settings import SqlSettings
from tool_service.tools.sql.splitter import Dialect
from tool_service.tools.sql.table import VALUE_CHARS, Room, Table, Verbatim, changed

T = TypeVar("T")
Connection: TypeAlias = psycopg.AsyncConnection[Any]

OPEN_SECONDS = 10.0
STOP_SECONDS = 0.15  # how long a server may take to hear of a cancel
GRACE_SECONDS = 0.5  # for the server to keep its own time limit
IDLE_SECONDS = 600  # how long the server keeps a transaction of which it hears nothing
BATCH_VALUES = 1000  # that are read at once, each of VALUE_CHARS at most

BOOL = 16
TEXTS = frozenset({18, 19, 25, 705, 1042, 1043})  # "char", name, text, unknown, character, character varying
CHECKS_CONNECTIONS = 140_000  # the first server that ends a statement when its client has gone

MIGHTY = """SELECT (SELECT rolsuper FROM pg_roles WHERE rolname = session_user)
    OR pg_has_role(session_user, 'pg_read_server_files', 'MEMBER')
    OR pg_has_role(session_user, 'pg_write_server_files', 'MEMBER')
    OR pg_has_role(session_user, 'pg_execute_server_program', 'MEMBER')"""

log = structlog.get_logger()


class PostgresDatabase:
    """A server's database. Raises DatabaseSettingError where the address cannot be one."""

    dialect = Dialect.POSTGRES

    def __init__(self, settings: SqlSettings) -> None:
        try:
            conninfo_to_dict(settings.database)
        except psycopg.ProgrammingError as error:
            raise DatabaseSettingError(f"sql.database: {str(error).strip()}") from None
        self._settings = settings

    @asynccontextmanager
    async def begin(self) -> AsyncIterator["PostgresTransaction"]:
        """See `Database`. A connection for each call: nothing of one, such as temporary tables, is seen by another."""
        try:
            connection = await _connect(self._settings.database)
        except psycopg.Error as error:
            log.warning("database unreachable", error=str(error))
            raise Reject("the database cannot be reached") from None
        try:
            transaction = PostgresTransaction(connection, self._settings)
            await transaction.open()
            yield transaction
        finally:
            await _close(connection)


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    type: int
    is_long: bool  # its values have no length that the type sets

    def shown(self, value: bytes | None) -> object:
        if value is None:
            return None
        text = plain(value.decode("utf-8", "replace"))
        if self.type in TEXTS:
            return text
        return Verbatim({"t": "true", "f": "false"}[text] if self.type == BOOL else text)


class PostgresTransaction:
    """A transaction on its own connection. See `Transaction`."""

    def __init__(self, connection: Connection, settings: SqlSettings) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._settings = settings
        self._room = Room(settings.max_bytes)
        self._deadline = 0.0

    async def open(self) -> None:
        """Begins. The query at the end is also what makes the transaction's mode final: no SET can follow it."""
        milliseconds = int(self._settings.statement_seconds * 1000)
        script = [
            "BEGIN" if self._settings.writable else "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            f"SET LOCAL statement_timeout = {milliseconds}",
            f"SET LOCAL lock_timeout = {int(self._settings.lock_seconds * 1000)}",
            f"SET LOCAL idle_in_transaction_session_timeout = {IDLE_SECONDS * 1000}",
            "SET LOCAL standard_conforming_strings = on",
        ]
        if self._pgconn.server_version >= CHECKS_CONNECTIONS:
            script.append("SET LOCAL client_connection_check_interval = 1000")
        self._start_clock()
        with _as_rejection("the database cannot be opened"):
            *_, last = await self._simple("; ".join([*script, MIGHTY]))
        if last.get_value(0, 0) == b"t":
            raise Reject(
                "`sql` does not work as a superuser, nor as a role that reaches files or programs of the server;"
                " its operator must configure a role that has no more rights than a model may have"
            )

    async def run(self, statement: str) -> AsyncIterator[str]:
        """See `Transaction`."""
        if reason := refusal(statement, self._settings.writable):
            raise failed(reason, statement)
        self._start_clock()
        try:
            columns = await self._prepare(statement)
            async for text in self._pieces(statement, columns):
                yield text
        except (TimeoutError, errors.QueryCanceled):
            raise failed(f"stopped after {self._settings.statement_seconds:g} seconds", statement) from None
        except psycopg.Error as error:
            raise failed(_reason(error), statement) from None

    async def commit(self) -> str:
        """See `Transaction`."""
        self._start_clock()
        with _as_rejection("it is not known whether the changes were committed"):
            try:
                (result,) = await self._simple("COMMIT")
            except psycopg.Error as error:
                if error.sqlstate is None:  # the connection broke
                    raise
                raise Reject(f"not committed: {_reason(error)}") from None
        if result.command_status != b"COMMIT":
            raise Reject("not committed: the server rolled back")
        return committed(self._settings)

    def _pieces(self, statement: str, columns: list[_Column]) -> AsyncIterator[str]:
        if not columns:
            return self._run_without_rows()
        if is_plain_read(statement):
            return self._read(statement, columns)
        if is_change(statement):
            return self._change(statement, columns)
        return self._drain(columns)

    async def _prepare(self, statement: str) -> list[_Column]:
        """Has the server parse a statement; its columns, none where it gives no rows."""
        self._pgconn.send_prepare(b"", statement.encode("utf-8", "replace"))
        await self._results()
        self._pgconn.send_describe_prepared(b"")
        (described,) = await self._results()
        return [
            _Column(plain((described.fname(i) or b"").decode()), described.ftype(i), described.fsize(i) < 0)
            for i in range(described.nfields)
        ]

    async def _run_without_rows(self) -> AsyncIterator[str]:
        self._pgconn.send_query_prepared(b"", None)
        (result,) = await self._results()
        if result.command_tuples is not None:
            yield changed(result.command_tuples)

    async def _read(self, statement: str, columns: list[_Column]) -> AsyncIterator[str]:
        table = self._table(columns)
        await self._one(f"DECLARE _conveyor NO SCROLL CURSOR FOR {_bounded(statement, columns)}")
        yield table.head
        batch = min(max(1, BATCH_VALUES // len(columns)), self._settings.max_rows + 1)
        while not table.is_full:
            result = await self._one(f"FETCH FORWARD {batch} FROM _conveyor")
            yield table.feed(_rows(result, columns))
            if result.ntuples < batch:
                break
        else:
            if self._settings.writable:  # functions of the rows that are not shown may write
                await self._one("MOVE FORWARD ALL IN _conveyor")
        yield table.close()
        await self._one("CLOSE _conveyor")

    async def _change(self, statement: str, columns: list[_Column]) -> AsyncIterator[str]:
        """A change is run to its end, however few of its rows are read."""
        result = await self._one(f"{_bounded(statement, columns)} LIMIT {self._settings.max_rows + 1}")
        table = self._table(columns)
        yield table.head
        yield table.feed(_rows(result, columns))
        yield table.close()

    async def _drain(self, columns: list[_Column]) -> AsyncIterator[str]:
        self._pgconn.send_query_prepared(b"", None)
        self._pgconn.set_single_row_mode()
        await self._wait(generators.send(self._pgconn))
        table = self._table(columns)
        yield table.head
        while result := await self._wait(generators.fetch(self._pgconn)):
            _check(result)
            if not table.is_full:
                yield table.feed(_rows(result, columns))
        yield table.close()

    def _table(self, columns: list[_Column]) -> Table:
        return Table([column.name for column in columns], self._settings.max_rows, self._room)

    async def _one(self, statement: str) -> PGresult:
        """Runs one statement that is prepared by being run."""
        self._pgconn.send_query_params(statement.encode("utf-8", "replace"), None)
        (result,) = await self._results()
        return result

    async def _simple(self, script: str) -> list[PGresult]:
        self._pgconn.send_query(script.encode())
        return await self._results()

    async def _results(self) -> list[PGresult]:
        results: list[PGresult] = await self._wait(generators.execute(self._pgconn))
        for result in results:
            _check(result)
        return results

    def _start_clock(self) -> None:
        now = asyncio.get_running_loop().time()
        self._deadline = now + self._settings.statement_seconds + GRACE_SECONDS

    async def _wait(self, conversation: Any) -> Any:
        """Talks to the server until the statement's deadline. Raises TimeoutError."""
        async with asyncio.timeout_at(self._deadline):
            return await _stoppable(self._connection.wait(conversation))


async def _connect(address: str) -> Connection:
    """Connects. A cancel meanwhile leaves no connection; psycopg alone would leave one to the garbage collector."""
    connecting = asyncio.create_task(
        psycopg.AsyncConnection.connect(
            address, autocommit=True, connect_timeout=int(OPEN_SECONDS), client_encoding="utf8"
        )
    )
    try:
        return await asyncio.shield(connecting)
    except asyncio.CancelledError:
        connecting.add_done_callback(_drop)
        await asyncio.wait((connecting,), timeout=STOP_SECONDS)
        raise


def _drop(connecting: "asyncio.Task[Connection]") -> None:
    if not connecting.cancelled() and not connecting.exception():
        connecting.result().pgconn.finish()


async def _stoppable(operation: Coroutine[Any, Any, T]) -> T:
    """Awaits an operation of psycopg's, which a cancel ends soon even where the server cannot be reached.

    At the first cancel psycopg asks the server to stop and waits for that; at the second it drops the connection.
    """
    task = asyncio.create_task(operation)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.cancel()
        if (await asyncio.wait((task,), timeout=STOP_SECONDS))[1]:
            task.cancel()
            await asyncio.wait((task,), timeout=STOP_SECONDS)
        raise


async def _close(connection: Connection) -> None:
    """Ends a connection, which rolls back."""
    if connection.pgconn.transaction_status == pq.TransactionStatus.ACTIVE:
        with contextlib.suppress(psycopg.Error):
            await connection.cancel_safe(timeout=STOP_SECONDS)
    await connection.close()


def _bounded(statement: str, columns: list[_Column]) -> str:
    """A query of the rows of a statement, with values no longer than can be shown."""
    names = [f"c{i}" for i in range(len(columns))]
    values = [
        f"left({name}::text, {VALUE_CHARS + 1}) AS {name}" if column.is_long else name
        for name, column in zip(names, columns, strict=True)
    ]
    source = statement.rstrip().removesuffix(";")
    return f"WITH _conveyor ({', '.join(names)}) AS ({source}\n) SELECT {', '.join(values)} FROM _conveyor"


def _rows(result: PGresult, columns: list[_Column]) -> Iterator[list[object]]:
    for row in range(result.ntuples):
        yield [column.shown(result.get_value(row, i)) for i, column in enumerate(columns)]


def _check(result: PGresult) -> None:
    """Raises the error that a result is."""
    if result.status in (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE):
        raise errors.error_from_result(result)


def _reason(error: psycopg.Error) -> str:
    message = error.diag.message_primary or "the connection to the database was lost"
    return f"{message}. {error.diag.message_hint}" if error.diag.message_hint else message


@contextlib.contextmanager
def _as_rejection(what: str) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise Reject(f"{what}: the server does not answer") from None
    except psycopg.Error as error:
        raise Reject(f"{what}: {_reason(error)}") from None
