"""SQLite in a process of its own, which can be killed.

A statement can keep SQLite busy where nothing interrupts it: while it expands nested views, or inside of one long
function. So a call's connection lives in a process, run as a file: `python -I -S sqlite_child.py PARENT_PID`. It
imports the standard library, and files of Conveyor that need no more. Requests come on standard input, answers go to
standard output, JSON lines:

    ["open", configuration] ─▶ ["done", ""] or ["error", why]    the first one, once; until then it only waits
    ["run", statement]      ─▶ ["text", …]…, then ["done", ""] or ["error", why]
    ["commit", ""]          ─▶ ["done", ""] or ["error", why]

The end of its input, or SIGTERM, rolls back and ends it. When its parent ends it is killed, whatever it is doing.
"""

import ctypes
import json
import os
import resource
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tool_service.tools.plain_text import plain
    from tool_service.tools.sql.sqlite_rules import PRAGMAS, Authorizer
    from tool_service.tools.sql.table import Room, Table, changed
else:  # -I keeps this folder off the path, and the one above; pathlib takes as long to load as all the rest
    sys.path[:0] = [os.path.dirname(__file__), os.path.dirname(os.path.dirname(__file__))]  # noqa: PTH120
    from plain_text import plain
    from sqlite_rules import PRAGMAS, Authorizer
    from table import Room, Table, changed

MIB = 1 << 20
MEMORY_BYTES = 1024 * MIB
VALUE_BYTES = 64 * MIB
STATEMENT_BYTES = MIB
GROWTH_BYTES = 1024 * MIB  # how much larger a script may make the file
STEPS = 10_000  # instructions of SQLite between two looks at whether to stop: well under a millisecond
PIECE_CHARS = 8192  # rows are passed on together, up to so many characters
PIECE_SECONDS = 0.02  # and so long after the last
TABLE_FUNCTIONS = ("json_each", "json_tree", *(f"pragma_{name}" for name in sorted(PRAGMAS)))
PRIMARY_CODE = 0xFF  # the part of an error's code that says what kind it is
PR_SET_PDEATHSIG = 1


class Stop:
    """Whether the process was told to end."""

    def __init__(self) -> None:
        self._asked = False
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _ask(self, *_: object) -> None:
        self._asked = True

    def __call__(self) -> int:
        """SQLite's progress handler: 1 stops the statement."""
        return int(self._asked)


class Script:
    """The statements of one call, on one connection, in one transaction."""

    def __init__(self, configuration: dict[str, Any]) -> None:
        self._writable = bool(configuration["writable"])
        self._max_rows = int(configuration["max_rows"])
        self._room = Room(int(configuration["max_bytes"]))
        self._connection = _connect(configuration["uri"], self._writable, float(configuration["lock_seconds"]))
        self._authorizer = Authorizer(self._writable)
        self._has_read = False
        self._has_written = False
        self._connection.set_progress_handler(Stop(), STEPS)
        self._connection.set_authorizer(self._authorizer)

    def run(self, statement: str) -> Iterator[str]:
        """Runs a statement; what it has to show. Raises sqlite3.Error and ValueError."""
        if not self._connection.in_transaction:
            self._control("BEGIN")  # locks nothing yet: reading takes a lock to read, the first change one to write
        self._authorizer.reads = self._authorizer.writes = False
        before = self._connection.total_changes
        cursor = self._connection.execute(statement)
        try:
            if cursor.description:
                yield from self._rows(cursor)
            elif count := self._connection.total_changes - before:
                yield changed(count)
        finally:
            cursor.close()
        self._has_read = self._has_read or self._authorizer.reads
        self._has_written = self._has_written or self._authorizer.writes

    def commit(self) -> None:
        """Makes the changes last. Raises sqlite3.Error."""
        if self._connection.in_transaction:
            self._control("COMMIT")

    def close(self) -> None:
        """Rolls back what is not committed."""
        self._connection.close()

    def explained(self, error: Exception) -> str:
        """Why a statement failed."""
        refusal, self._authorizer.refusal = self._authorizer.refusal, ""
        return refusal or _explained(error, self._has_read and not self._has_written)

    def _control(self, statement: str) -> None:
        self._connection.set_authorizer(None)
        try:
            self._connection.execute(statement)
        finally:
            self._connection.set_authorizer(self._authorizer)

    def _rows(self, cursor: sqlite3.Cursor) -> Iterator[str]:
        table = Table([plain(column[0]) for column in cursor.description], self._max_rows, self._room)
        text, since = table.head, time.monotonic()
        for row in cursor:  # one at a time: a row may be large
            text += table.feed([[_readable(value) for value in row]])
            if table.is_full:
                break
            if len(text) > PIECE_CHARS or time.monotonic() > since + PIECE_SECONDS:
                yield text
                text, since = "", time.monotonic()
        yield text + table.close()


def _explained(error: Exception, has_read: bool) -> str:
    """`has_read`: it has a lock to read, from which SQLite never waits for one to write: both could wait for ever."""
    code = getattr(error, "sqlite_errorcode", 0)
    if code == sqlite3.SQLITE_BUSY_SNAPSHOT:
        return "others have changed the database since this script first read it; try again"
    if code & PRIMARY_CODE == sqlite3.SQLITE_BUSY and has_read:
        return "the database is locked by others, and a script that has read it cannot wait for their end; try again"
    if code == sqlite3.SQLITE_READONLY_ROLLBACK:
        return (
            "a program that was changing the database was killed, and what it left must first be undone;"
            " its operator must open the file once with a program that may write it"
        )
    return str(error) or type(error).__name__


def _readable(value: object) -> object:
    return plain(value) if isinstance(value, str) else value


def _connect(uri: str, writable: bool, lock_seconds: float) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=lock_seconds, cached_statements=0)
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, VALUE_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, STATEMENT_BYTES)
    for pragma in ("trusted_schema = OFF", "temp_store = MEMORY", "cell_size_check = ON", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")
    if writable:
        pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        connection.execute(f"PRAGMA max_page_count = {pages + GROWTH_BYTES // size}")
    else:
        connection.execute("PRAGMA query_only = ON")
    _connect_virtual_tables(connection)
    return connection


def _connect_virtual_tables(connection: sqlite3.Connection) -> None:
    """Has virtual tables declare themselves, which to the authorizer looks like CREATE TABLE. Raises sqlite3.Error."""
    stored = connection.execute("SELECT name FROM sqlite_schema WHERE sql LIKE 'CREATE VIRTUAL TABLE%'").fetchall()
    for name in (*TABLE_FUNCTIONS, *(name for (name,) in stored)):
        quoted = name.replace('"', '""')
        with suppress(sqlite3.Error):  # it needs an extension, or is missing from this build
            connection.execute(f'SELECT 1 FROM "{quoted}" LIMIT 0')


def _say(kind: str, text: str = "") -> None:
    sys.stdout.write(json.dumps([kind, text]) + "\n")
    sys.stdout.flush()


def _answer(script: Script, kind: str, statement: str) -> None:
    try:
        if kind == "commit":
            script.commit()
        else:
            for text in script.run(statement):
                if text:
                    _say("text", text)
    except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError, MemoryError) as error:
        _say("error", script.explained(error))
    else:
        _say("done")


def _end_with(parent: int) -> None:
    """Has the kernel kill this process when its parent ends; SIGTERM would wait for a long function's end.

    It does so when the *thread* ends that started it: that of the event loop, which waits for this process's end first.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit(0)


def main() -> None:
    """Serves until its input ends."""
    _end_with(int(sys.argv[1]))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    opening = sys.stdin.readline()
    if not opening:
        return
    configuration = json.loads(json.loads(opening)[1])
    resource.setrlimit(resource.RLIMIT_CPU, (configuration["cpu_seconds"], configuration["cpu_seconds"]))
    try:
        script = Script(configuration)
    except sqlite3.Error as error:
        _say("error", _explained(error, has_read=False))
        return
    _say("done")
    for line in sys.stdin:
        _answer(script, *json.loads(line))
    script.close()


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # nobody listens any more; the connection is gone with the process
        os._exit(0)
