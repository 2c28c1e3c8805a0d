"""What the tools of the workloads look at: all of it on this machine, and the same in every run."""

import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks.workloads.world.postgres import NoPostgresError, running_server
from benchmarks.workloads.world.search_engine import search_engine
from benchmarks.workloads.world.shop import write_shop


@dataclass(frozen=True, slots=True)
class World:
    """Addresses. `warehouse` is a PostgreSQL database, empty where there is no server to start: `without` says why."""

    search: str
    shop: Path
    news: Path
    warehouse: str
    without: str = ""

    def reset(self) -> None:
        """Makes what completions have written be gone."""
        if self.warehouse:
            with psycopg.connect(self.warehouse, autocommit=True) as connection:
                connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")


@contextlib.asynccontextmanager
async def open_world(search_seconds: float) -> AsyncIterator[World]:
    """All of it, while the block lasts."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="conveyor-world-")))
        write_shop(shop := folder / "shop.db")
        (news := folder / "news.jsonl").write_text('{"location": "San Francisco, CA", "title": "Ferries run again"}\n')
        search = await stack.enter_async_context(search_engine(search_seconds))
        warehouse, without = "", ""
        try:
            warehouse = _database(stack.enter_context(running_server()))
        except NoPostgresError as error:
            without = str(error)
        yield World(search, shop, news, warehouse, without)


def _database(superuser: str) -> str:
    """A database of a user who is nobody special, on a server that is a superuser's."""
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("CREATE ROLE model LOGIN")
        connection.execute("CREATE DATABASE warehouse OWNER model")
    address = superuser.replace("postgres@/postgres", "model@/warehouse")
    with psycopg.connect(superuser.replace("/postgres?", "/warehouse?"), autocommit=True) as connection:
        connection.execute("ALTER SCHEMA public OWNER TO model")
    return address
