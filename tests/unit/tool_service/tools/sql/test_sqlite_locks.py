"""When a script locks an SQLite file, for how long, and what a script is told that finds it locked or left damaged."""

import asyncio
import os
import signal
import sqlite3
from pathlib import Path

import pytest

from tests.unit.tool_service.tools.sql.completions import Completion, opened
from tests.unit.tool_service.tools.sql.conftest import Store
from tests.unit.tool_service.tools.sql.test_sql import refused, run
from tool_service.execution import events as ev

CHANGE = "UPDATE cities SET area = 2 WHERE id = 2"


@pytest.fixture(params=["delete", "wal"])
def journaled(request: pytest.FixtureRequest, sqlite: Store) -> Store:
    """The file, in either journal."""
    assert sqlite.ask(f"PRAGMA journal_mode = {request.param}") == [(request.param,)]
    return sqlite


async def begun(store: Store, script: str) -> Completion:
    """A call that has run a script's statements and waits for more of it."""
    completion = Completion(store.settings(writable=True, lock_seconds=0.2))
    completion.runner.text(opened(script))
    await completion.until(ev.CallOutput)
    return completion


async def test_a_script_that_only_reads_so_far_keeps_nobody_from_changing(sqlite: Store) -> None:
    sqlite.ask("PRAGMA journal_mode = wal")
    reader = await begun(sqlite, "SELECT * FROM cities; ")
    await run(sqlite, CHANGE, writable=True, lock_seconds=0.2)
    await reader.runner.aclose()


async def test_a_script_that_has_read_no_table_locks_nothing(journaled: Store) -> None:
    reader = await begun(journaled, "SELECT 1 AS a; ")
    await run(journaled, CHANGE, writable=True, lock_seconds=0.2)
    await reader.runner.aclose()


async def test_a_script_locks_out_others_from_its_first_change_on(journaled: Store) -> None:
    writer = await begun(journaled, "SELECT * FROM cities; UPDATE cities SET area = 1; ")
    await writer.log.until(lambda event: isinstance(event, ev.CallOutput) and "changed" in event.text)
    assert "database is locked" in await refused(journaled, CHANGE, writable=True, lock_seconds=0.1)
    await writer.runner.aclose()
    await run(journaled, CHANGE, writable=True)


async def test_a_change_waits_for_the_lock_where_nothing_has_been_read(journaled: Store) -> None:
    writer = await begun(journaled, "UPDATE cities SET area = 1; ")
    waiting = asyncio.create_task(run(journaled, f"SELECT 1 AS a; {CHANGE}", writable=True, lock_seconds=10))
    await asyncio.sleep(0.2)
    await writer.runner.aclose()
    assert await waiting == "a\n1\n[1 row changed]\n[committed]\n"


async def test_a_change_after_reading_what_others_have_changed_since_is_told_so(sqlite: Store) -> None:
    sqlite.ask("PRAGMA journal_mode = wal")
    reader = await begun(sqlite, "SELECT * FROM cities; ")
    await run(sqlite, CHANGE, writable=True)
    reader.runner.text("UPDATE cities SET area = 3; ")
    vetoed = await reader.until(ev.TurnVetoed)
    assert isinstance(vetoed, ev.TurnVetoed)
    assert vetoed.reason.startswith("others have changed the database since this script first read it; try again (in:")
    await reader.end("veto")
    assert sqlite.ask("SELECT area FROM cities WHERE id = 2") == [(2.0,)]


async def test_a_change_after_reading_what_others_are_changing_is_told_so(journaled: Store) -> None:
    reader, writer = await begun(journaled, "SELECT * FROM cities; "), await begun(journaled, f"{CHANGE}; ")
    reader.runner.text("UPDATE cities SET area = 3; ")
    vetoed = await reader.until(ev.TurnVetoed)
    assert isinstance(vetoed, ev.TurnVetoed)
    assert "locked by others, and a script that has read it cannot wait" in vetoed.reason
    await reader.end("veto")
    await writer.runner.aclose()


async def test_what_a_killed_program_left_half_changed_is_told_of_until_a_writer_has_undone_it(tmp_path: Path) -> None:
    file = tmp_path / "hot.db"
    _leave_a_hot_journal(file)
    store = Store(str(file), lambda _: [])
    assert "was killed" in await refused(store, "SELECT count(*) AS n FROM t")
    assert await run(store, "SELECT sum(a) AS n FROM t", writable=True) == "n\n0\n[committed]\n"
    assert await run(store, "SELECT sum(a) AS n FROM t") == "n\n0\n"


def _leave_a_hot_journal(file: Path) -> None:
    """Has a program die when half of its changes are in the file."""
    with sqlite3.connect(file) as connection:
        connection.executescript("CREATE TABLE t (a, b); ")
        connection.executemany("INSERT INTO t VALUES (0, ?)", [("x" * 1000,)] * 1000)
    connection.close()
    victim = os.fork()
    if not victim:
        try:
            connection = sqlite3.connect(file, isolation_level=None)
            connection.execute("PRAGMA cache_size = 5")
            connection.execute("BEGIN")
            connection.execute("UPDATE t SET a = 1")
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(victim, 0)
    assert file.with_name("hot.db-journal").stat().st_size
