"""Completions that are cut, cancelled or killed at a random moment leave whole scripts or nothing, and none twice."""

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.processes import until, with_open
from tests.unit.tool_service.tools.sql.conftest import Store
from tests.unit.tool_service.tools.sql.cut_runs import TABLES, CutRun
from tests.unit.tool_service.tools.sql.test_sql import run as run_script
from tool_service.tools.sql.settings import SqlSettings

QUIET_SECONDS = 30.0
LONG_IN_SQLITE = "SELECT instr(zeroblob(60000000), zeroblob(30000000) || x'01'); "  # in which nothing interrupts it
LONG_TICKS = 30  # of its processor's time, hundredths of a second: more than all but the long function takes


class Slaughterhouse:
    """Makes runs in processes that are killed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, number: int) -> bool:
        """Whether the run had succeeded when it was to be killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(number, file=self._process.stdin, flush=True)
        return self._process.stdout.readline().strip() == "1"


@contextmanager
def slaughterhouse(settings: SqlSettings, journal: Path) -> Iterator[Slaughterhouse]:
    command = [sys.executable, "-m", "tests.unit.tool_service.tools.sql.victims", settings.model_dump_json()]
    with subprocess.Popen([*command, journal], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Slaughterhouse(process)
        finally:
            process.kill()


@pytest.mark.parametrize("count", [40, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
async def test_a_script_is_committed_as_a_whole_when_its_call_is_sealed_and_never_else(
    store: Store, count: int, tmp_path: Path
) -> None:
    make_tables(store)
    settings, journal = store.settings(writable=True, lock_seconds=30), tmp_path / "effects.db"
    runs = [CutRun.make(number) for number in range(count)]
    with slaughterhouse(settings, journal) as killer:
        succeeded = {
            run.number: await asyncio.to_thread(killer.run, run.number)
            if run.way == "killed"
            else await run.run(settings, journal)
            for run in runs
        }
    await_quiet(store)
    rows = Counter(run for run, _ in store.ask("SELECT run, step FROM steps"))
    assert all(rows[run.number] in (0, run.steps) for run in runs)
    assert len(set(store.ask("SELECT run, step FROM steps"))) == rows.total()
    assert store.ask("SELECT n FROM counter") == [(len(rows),)]
    for run in runs:
        if succeeded[run.number]:
            assert rows[run.number] == run.steps
        elif run.way == "cut":
            assert rows[run.number] == 0
    assert {bool(rows[run.number]) for run in runs if run.way == "cut"} == {True, False}
    await none_acts_twice(store, runs, settings, journal)


async def none_acts_twice(store: Store, runs: list[CutRun], settings: SqlSettings, journal: Path) -> None:
    """Tries each run again, under the same completion's id."""
    before = Counter(run for run, _ in store.ask("SELECT run, step FROM steps"))
    outcomes = {run.number: await run.try_again(settings, journal) for run in runs}
    after = Counter(run for run, _ in store.ask("SELECT run, step FROM steps"))
    assert len(set(store.ask("SELECT run, step FROM steps"))) == after.total()
    assert store.ask("SELECT n FROM counter") == [(len(after),)]
    for run in runs:
        outcome = outcomes[run.number]
        if isinstance(outcome, str):
            assert (outcome, after[run.number]) == (run.result, run.steps)
        else:  # it was stopped in its commit, of which nobody knows the end
            assert (outcome.code, after[run.number]) == ("OUTCOME_UNKNOWN", before[run.number])
            assert run.way != "cut"
    assert any(isinstance(outcomes[run.number], str) and not before[run.number] for run in runs)
    assert any(isinstance(outcomes[run.number], str) and before[run.number] for run in runs)


async def test_a_service_that_is_killed_inside_a_long_function_leaves_no_lock(store: Store) -> None:
    long = LONG_IN_SQLITE if store.is_sqlite else "SELECT pg_sleep(600); "
    settings = store.settings(writable=True, statement_seconds=600)
    with stuck(settings, f"INSERT INTO log VALUES (1, 1); {long}") as service:
        await until(lambda: is_in_long_function(store))
        service.kill()
    began = time.monotonic()
    await_quiet(store)
    print(f"gone {time.monotonic() - began:.3f} s after the service")
    assert await run_script(store, "INSERT INTO log VALUES (1, 1)", writable=True) == "[1 row changed]\n[committed]\n"


@contextmanager
def stuck(settings: SqlSettings, script: str) -> Iterator["subprocess.Popen[str]"]:
    """A service that has begun to run a script."""
    command = [sys.executable, "-m", "tests.unit.tool_service.tools.sql.stuck", settings.model_dump_json(), script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
        try:
            assert service.stdout is not None
            assert service.stdout.readline() == "begun\n"
            yield service
        finally:
            service.kill()


def is_in_long_function(store: Store) -> bool:
    if not store.is_sqlite:
        return bool(store.ask("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))
    return sum(map(cpu_ticks, with_open(store.address, "sqlite_child"))) > LONG_TICKS


def cpu_ticks(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])


def make_tables(store: Store) -> None:
    if store.is_sqlite:
        with sqlite3.connect(store.address) as connection:
            connection.executescript(TABLES)
        connection.close()
    else:
        with psycopg.connect(store.address) as connection:
            connection.execute(TABLES)


def await_quiet(store: Store) -> None:
    """Waits until nothing of the killed processes is left."""
    deadline = time.monotonic() + QUIET_SECONDS
    while others(store):
        assert time.monotonic() < deadline, "the database is still held"
        time.sleep(0.02)


def others(store: Store) -> int:
    """How many connections others have to the database."""
    if not store.is_sqlite:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        return int(store.ask(query)[0][0])
    return len(with_open(store.address, "sqlite_child"))
