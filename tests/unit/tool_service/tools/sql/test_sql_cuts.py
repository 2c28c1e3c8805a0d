"""Completions that are cut, cancelled or killed at a random moment leave whole scripts or nothing, and none twice."""

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.processes import with_command
from tests.unit.tool_service.tools.sql.conftest import Store
from tests.unit.tool_service.tools.sql.cut_runs import TABLES, CutRun
from tool_service.tools.sql.settings import SqlSettings

QUIET_SECONDS = 30.0


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
def slaughterhouse(settings: SqlSettings) -> Iterator[Slaughterhouse]:
    command = [sys.executable, "-m", "tests.unit.tool_service.tools.sql.victims", settings.model_dump_json()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Slaughterhouse(process)
        finally:
            process.kill()


@pytest.mark.parametrize("count", [40, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
async def test_a_script_is_committed_as_a_whole_when_its_call_is_sealed_and_never_else(
    store: Store, count: int
) -> None:
    make_tables(store)
    settings = store.settings(writable=True, lock_seconds=30)
    runs = [CutRun.make(number) for number in range(count)]
    with slaughterhouse(settings) as killer:
        succeeded = {
            run.number: await asyncio.to_thread(killer.run, run.number)
            if run.way == "killed"
            else await run.run(settings)
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
    return len(with_command("sqlite_child", store.address))
