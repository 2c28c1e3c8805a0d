"""The databases that `sql` is tried on: an SQLite file and a PostgreSQL server, alike where they can be."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from benchmarks.workloads.world.postgres import NoPostgresError, running_server
from tool_service.tools.sql.database import Database
from tool_service.tools.sql.settings import SqlSettings
from tool_service.tools.sql.tool import open_database

SCHEMA = """
CREATE TABLE cities (id integer PRIMARY KEY, name text NOT NULL, area real);
INSERT INTO cities VALUES (1, 'berlin', 891.5), (2, 'bonn', NULL), (3, 'ulm, an der donau', 118.5);
CREATE TABLE log (run integer, step integer, UNIQUE (run, step));
"""


class Store:
    """A database with `SCHEMA` in it, seen from outside of the tool."""

    def __init__(self, address: str, ask: Callable[[str], list[tuple[Any, ...]]]) -> None:
        self.address = address
        self.ask = ask

    @property
    def is_sqlite(self) -> bool:
        return not self.address.startswith("postgresql:")

    def settings(self, **changes: Any) -> SqlSettings:
        return SqlSettings(database=self.address, **changes)

    def open(self, **changes: Any) -> Database:
        return open_database(self.settings(**changes))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A superuser's address."""
    try:
        with running_server() as address:
            with psycopg.connect(address, autocommit=True) as connection:
                connection.execute("CREATE ROLE model LOGIN")
                connection.execute("CREATE DATABASE trial OWNER model")
            yield address
    except NoPostgresError as error:
        pytest.skip(str(error))


@pytest.fixture
def postgres(postgres_server: str) -> Iterator[Store]:
    with psycopg.connect(postgres_server.replace("/postgres?", "/trial?"), autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'model'")
        admin.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION model")
    address = postgres_server.replace("postgres@/postgres", "model@/trial")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(SCHEMA)
        yield Store(address, lambda query: connection.execute(query).fetchall())


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Store]:
    path = tmp_path / "trial.db"
    connection = sqlite3.connect(path, isolation_level=None, timeout=10)
    connection.executescript(SCHEMA)
    yield Store(str(path), lambda query: connection.execute(query).fetchall())
    connection.close()


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> Store:
    """Each of the two."""
    found: Store = request.getfixturevalue(request.param)
    return found
