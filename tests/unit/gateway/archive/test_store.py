"""The store: what it keeps, for whom, how much, and what it says of files that it cannot use."""

import os
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.archive import store as module
from gateway.archive.recording import Summary
from gateway.archive.store import Kept, Store


def kept(name: str, begun_at: float = 0.0, caller: str = "", events: tuple[bytes, ...] = ()) -> Kept:
    return Kept(caller, Summary(name, begun_at, "finished", "Hi", "partial", ("plan",)), b"request", events)


@asynccontextmanager
async def opened(path: Path | str = "", most: int = 100) -> AsyncIterator[Store]:
    store = Store(str(path), most)
    await store.open()
    yield store
    await store.close()


async def names(store: Store, caller: str = "", most: int = 100) -> list[str]:
    return [summary.id for summary in await store.recent(caller, most)]


async def test_what_was_put_is_found_as_it_was_by_its_caller_alone() -> None:
    one = kept("a", events=(b"", b"x" * 1000, b"\x00\xff"), caller="ann")
    async with opened() as store:
        await store.put(one)
        assert await store.find("ann", "a") == one
        assert await store.find("", "a") is None and await names(store) == []
        assert not await store.forget("bob", "a")
        assert await store.forget("ann", "a")
        assert await store.find("ann", "a") is None


async def test_the_newest_are_kept_and_come_first() -> None:
    async with opened(most=3) as store:
        for name, begun_at in (("a", 1.0), ("b", 5.0), ("c", 3.0), ("d", 4.0), ("e", 2.0)):
            await store.put(kept(name, begun_at))
        assert await names(store) == ["b", "d", "c"]
        assert await names(store, most=1) == ["b"]
        await store.put(kept("b", 6.0, events=(b"again",)))
        assert (await store.find("", "b")) == kept("b", 6.0, events=(b"again",))


async def test_those_that_are_too_large_together_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PRUNE", module._PRUNE.replace(str(module.MAX_BYTES), "5000"))
    async with opened() as store:
        for name in "abc":
            await store.put(kept(name, ord(name), events=(os.urandom(2000),)))
        assert await names(store) == ["c", "b"]


async def test_a_file_outlives_its_gateway_and_is_nobody_elses_to_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "completions.sqlite3"
    async with opened(path) as store:
        await store.put(kept("a"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    async with opened(path) as store, opened(path) as beside:
        await beside.put(kept("b", 1.0))
        assert await names(store) == ["b", "a"]


async def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a database, but long enough to be one" * 100)
    with sqlite3.connect(tmp_path / "newer") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    (tmp_path / "folder").mkdir()
    for name, cause in (("text", "not a database"), ("newer", "another version"), ("folder", "directory")):
        with pytest.raises(OSError, match=f"cannot keep completions in .*{name}: .*{cause}"):
            await Store(str(tmp_path / name), 1).open()


async def test_a_broken_file_is_an_error_of_the_system_not_of_the_library(tmp_path: Path) -> None:
    async with opened(tmp_path / "file") as store:
        with sqlite3.connect(tmp_path / "file") as database:
            database.execute("DROP TABLE completions")
        database.close()
        with pytest.raises(OSError, match="no such table"):
            await store.put(kept("a"))
