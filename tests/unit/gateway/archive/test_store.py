"""The store: what it keeps, for whom, how much, and what it says of files that it cannot use."""

import asyncio
import os
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from gateway.archive import store as module
from gateway.archive.store import Kept, Store, StoreError
from gateway.archive.summary import Summary
from protos.conveyor.gateway.v1 import gateway_pb2 as pb

REQUEST = pb.CompleteRequest(messages=[pb.Message(role="user", content="Hi")])


def kept(name: str, begun_at: float = 0.0, caller: str = "", events: tuple[bytes, ...] = ()) -> Kept:
    return Kept(caller, Summary(name, begun_at, "finished", "Hi", "partial", ("plan",)), REQUEST, events)


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
        await store.put([one])
        assert await store.find("ann", "a") == one
        assert await store.find("", "a") is None and await names(store) == []
        assert not await store.forget("bob", "a")
        assert await store.forget("ann", "a")
        assert await store.find("ann", "a") is None


async def test_those_that_ended_last_are_kept_and_those_that_began_last_come_first() -> None:
    async with opened(most=3) as store:
        for name, begun_at in (("a", 1.0), ("b", 5.0), ("c", 3.0), ("d", 4.0), ("e", 2.0)):
            await store.put([kept(name, begun_at)])
        assert await names(store) == ["d", "c", "e"]
        assert await names(store, most=1) == ["d"]
        await store.put([kept("c", 6.0, events=(b"again",))])
        assert (await store.find("", "c")) == kept("c", 6.0, events=(b"again",))
        await store.put([kept("f", 7.0)])
        assert await names(store) == ["f", "c", "e"]  # it ended again, so "d" has ended first


async def test_a_long_one_is_kept_though_more_than_may_be_began_meanwhile() -> None:
    async with opened(most=2) as store:
        await store.put([kept(name, 2.0 + ord(name)) for name in "abc"])
        await store.put([kept("long", 1.0)])
        assert await names(store) == ["c", "long"]


async def test_no_caller_and_no_other_gateway_pushes_anothers_out(tmp_path: Path) -> None:
    async with opened(tmp_path / "file", most=50) as store, opened(tmp_path / "file", most=2) as smaller:
        await store.put([kept(f"{number}", number, "ann") for number in range(10)])
        await smaller.put([kept(f"{number}", number, "bob") for number in range(10)])
        assert len(await names(store, "ann")) == 10 and await names(store, "bob") == ["9", "8"]


async def test_one_that_began_earlier_never_takes_the_place_of_a_later_one() -> None:
    async with opened() as store:
        await store.put([kept("a", 2.0, events=(b"second try",))])
        await store.put([kept("a", 1.0, events=(b"first try",))])
        assert await store.find("", "a") == kept("a", 2.0, events=(b"second try",))


async def test_those_that_are_too_large_together_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 90_000)  # 5 pages without any
    async with opened() as store:
        for name in "abc":
            await store.put([kept(name, ord(name), events=(os.urandom(30_000),))])
        assert await names(store) == ["c", "b"]


async def test_what_is_listed_and_pruned_is_found_by_an_index(tmp_path: Path) -> None:
    async with opened(tmp_path / "file"):
        with sqlite3.connect(tmp_path / "file") as database:
            listing = "SELECT id, summary FROM completions WHERE caller = 'a' ORDER BY begun_at DESC LIMIT 50"
            for statement in (listing, module._PRUNE_CALLER, module._PRUNE_OLDEST):
                plan = " ".join(
                    row[3]
                    for row in database.execute(f"EXPLAIN QUERY PLAN {statement}", ("a", 1)[: statement.count("?")])
                )
                assert "SCAN" not in plan and "TEMP B-TREE" not in plan, plan
        database.close()


async def test_who_reads_does_not_wait_for_who_writes(tmp_path: Path) -> None:
    async with opened(tmp_path / "file") as store:
        await store.put([kept("a")])
        other = sqlite3.connect(tmp_path / "file", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        writing = [asyncio.create_task(store.put([kept("b", 1.0)])) for _ in range(2)]
        await asyncio.sleep(0)  # they have been handed to their thread
        assert await names(store) == ["a"] and await store.find("", "a") == kept("a")
        assert not any(each.done() for each in writing)
        other.execute("ROLLBACK")
        other.close()
        await asyncio.gather(*writing)
        assert await names(store) == ["b", "a"]


async def test_a_file_can_be_opened_while_another_gateway_writes(tmp_path: Path) -> None:
    async with opened(tmp_path / "file"):
        with closing(sqlite3.connect(tmp_path / "file", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            async with opened(tmp_path / "file") as second:
                assert await names(second) == []


@pytest.mark.parametrize(
    "damage",
    (
        "summary = '{'",
        "summary = '[]'",
        """summary = '{"id": "a", "begun_at": "early"}'""",
        "summary = CAST(x'ff' AS TEXT)",
        "events = x'00'",
        "request = x'ff'",
    ),
)
async def test_a_row_that_cannot_be_read_is_as_none_and_the_others_are_there(tmp_path: Path, damage: str) -> None:
    async with opened(tmp_path / "file") as store:
        await store.put([kept("a"), kept("b")])
        with closing(sqlite3.connect(tmp_path / "file", isolation_level=None)) as database:
            database.execute(f"UPDATE completions SET {damage} WHERE id = 'a'")
        assert await store.find("", "a") is None
        listed = ["b"] if damage.startswith("summary") else ["a", "b"]
        assert sorted(await names(store)) == listed
        assert await store.forget("", "a")
        await store.put([kept("a")])
        assert await store.find("", "a") == kept("a")


async def test_a_summary_of_another_version_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    async with opened(tmp_path / "file") as store:
        await store.put([kept("a")])
        with closing(sqlite3.connect(tmp_path / "file", isolation_level=None)) as database:
            database.execute("""UPDATE completions SET summary = '{"id": "a", "prompt": "Hi", "new": 1}'""")
        assert await store.recent("", 1) == [Summary("a", prompt="Hi")]


async def test_what_is_forgotten_is_in_no_file_any_more(tmp_path: Path) -> None:
    async with opened(tmp_path / "file") as store:
        secret = pb.CompleteRequest(messages=[pb.Message(role="user", content="SECRET" * 2000)])
        await store.put([kept("b"), Kept("", Summary("a", prompt="SECRET"), secret, ()), kept("c")])
        files = list(tmp_path.iterdir())
        assert len(files) == 3 and any(b"SECRET" in file.read_bytes() for file in files)
        assert await store.forget("", "a")
        assert not any(b"SECRET" in file.read_bytes() for file in files)
        assert await names(store) == ["b", "c"]


async def test_a_file_that_others_could_read_is_the_owners_alone_then(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    path.chmod(0o644)
    async with opened(path) as store:
        await store.put([kept("a")])
        assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}


async def test_a_file_of_the_version_before_is_taken_over(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "file")) as database:
        database.executescript(
            """
            CREATE TABLE completions (
                caller TEXT NOT NULL, id TEXT NOT NULL, begun_at REAL NOT NULL, summary TEXT NOT NULL,
                request BLOB NOT NULL, events BLOB NOT NULL, PRIMARY KEY (caller, id)
            ) STRICT;
            CREATE INDEX newest ON completions (begun_at DESC);
            INSERT INTO completions VALUES ('', 'a', 0.0, '{"id": "a"}', x'', x'789c030000000001');
            PRAGMA user_version = 1;
            """
        )
    async with opened(tmp_path / "file") as store:
        assert await store.find("", "a") == Kept("", Summary("a"), pb.CompleteRequest(), ())
        await store.put([kept("b", 1.0)])
        assert await names(store) == ["b", "a"]


async def test_a_file_outlives_its_gateway_and_is_nobody_elses_to_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "completions.sqlite3"
    async with opened(path) as store:
        await store.put([kept("a")])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    async with opened(path) as store, opened(path) as beside:
        await beside.put([kept("b", 1.0)])
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
        with pytest.raises(StoreError, match="no such table"):
            await store.put([kept("a")])
