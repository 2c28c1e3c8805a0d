"""The journal of effects: what it says of a call that comes again, and that it says so after a crash."""

import asyncio
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tool_service.execution import journal as journals
from tool_service.execution.events import Failure
from tool_service.execution.journal import (
    EffectJournal,
    Fresh,
    Interrupted,
    JournalError,
    KeyReused,
    Repeated,
)

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[EffectJournal]:
    opened = EffectJournal(tmp_path / "state" / "effects.db")
    yield opened
    await opened.aclose()


@pytest.mark.parametrize("outcome", ["sent", "", "caf\udce9", "[1]", Failure("RAISED", "OSError: full")])
async def test_a_call_that_comes_again_has_its_first_outcome(journal: EffectJournal, outcome: str | Failure) -> None:
    assert await journal.begin("a/call_1", "send", '{"to": "x"}') == Fresh()
    await journal.finish("a/call_1", outcome)
    assert await journal.begin("a/call_1", "send", '{"to": "x"}') == Repeated(outcome)
    assert await journal.look("a/call_1", "send", '{"to": "x"}') == Repeated(outcome)


async def test_a_call_that_was_begun_and_not_finished_never_begins_again(journal: EffectJournal) -> None:
    await journal.begin("a/call_1", "send", "{}")
    assert await journal.begin("a/call_1", "send", "{}") == Interrupted()
    assert await journal.look("a/call_1", "send", "{}") == Interrupted()


async def test_one_that_may_be_done_again_begins_again_until_it_is_finished(journal: EffectJournal) -> None:
    await journal.begin("a/call_1", "put", "{}", again=True)
    assert await journal.begin("a/call_1", "put", "{}", again=True) == Fresh()
    await journal.finish("a/call_1", "put")
    assert await journal.begin("a/call_1", "put", "{}", again=True) == Repeated("put")


@pytest.mark.parametrize(("tool", "arguments"), [("send", '{"to": "y"}'), ("post", '{"to": "x"}')])
async def test_a_key_is_no_other_calls(journal: EffectJournal, tool: str, arguments: str) -> None:
    await journal.begin("a/call_1", "send", '{"to": "x"}')
    assert await journal.begin("a/call_1", tool, arguments, again=True) == KeyReused()
    await journal.finish("a/call_1", "sent")
    assert await journal.begin("a/call_1", tool, arguments) == KeyReused()
    assert await journal.begin("a/call_2", tool, arguments) == Fresh()
    assert await journal.begin("b/call_1", tool, arguments) == Fresh()


async def test_looking_begins_nothing(journal: EffectJournal) -> None:
    assert await journal.look("a/call_1", "send", "{}") == Fresh()
    assert await journal.begin("a/call_1", "send", "{}") == Fresh()


async def test_what_did_not_act_can_be_taken_back_but_not_what_did(journal: EffectJournal) -> None:
    await journal.begin("a/call_1", "send", "{}")
    await journal.withdraw("a/call_1")
    assert await journal.begin("a/call_1", "send", "{}") == Fresh()
    await journal.finish("a/call_1", "sent")
    await journal.withdraw("a/call_1")
    assert await journal.begin("a/call_1", "send", "{}") == Repeated("sent")


async def test_the_file_outlives_the_service_and_is_its_users_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "effects.db"
    for expected in (Fresh(), Repeated("sent")):
        journal = EffectJournal(path)
        assert await journal.begin("a/call_1", "send", "{}") == expected
        await journal.finish("a/call_1", "sent")
        assert [file.stat().st_mode & 0o077 for file in path.parent.iterdir()] == [0] * 3
        await journal.aclose()
    assert path.parent.stat().st_mode & 0o077 == 0


async def test_of_two_services_with_one_file_one_begins(tmp_path: Path) -> None:
    journals = [EffectJournal(tmp_path / "effects.db") for _ in range(4)]
    keys = [f"a/call_{number}" for number in range(20)]
    verdicts = await asyncio.gather(*(one.begin(key, "send", "{}") for key in keys for one in journals))
    assert verdicts.count(Fresh()) == len(keys)
    assert verdicts.count(Interrupted()) == len(keys) * 3
    for one in journals:
        await one.aclose()


async def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, cause in (
        (tmp_path / "file" / "effects.db", "Not a directory|File exists"),
        (tmp_path, "unable to open"),
    ):
        journal = EffectJournal(path)
        with pytest.raises(JournalError, match=f"{path} cannot be used: .*({cause})"):
            await journal.begin("a/call_1", "send", "{}")
        await journal.aclose()


async def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "effects.db").write_bytes(b"no database" * 1000)
    journal = EffectJournal(tmp_path / "effects.db")
    with pytest.raises(JournalError, match="not a database"):
        await journal.open()
    await journal.aclose()


async def test_a_file_that_somebody_holds_is_waited_for_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "BUSY_SECONDS", 0.05)
    journal = EffectJournal(tmp_path / "effects.db")
    await journal.open()
    other = sqlite3.connect(tmp_path / "effects.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError, match="locked"):
        await journal.begin("a/call_1", "send", "{}")
    other.execute("ROLLBACK")
    other.close()
    assert await journal.begin("a/call_1", "send", "{}") == Fresh()
    await journal.aclose()


async def test_what_is_old_is_forgotten_at_the_opening_and_while_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = EffectJournal(tmp_path / "effects.db")
    await journal.begin("old/call_1", "send", "{}")
    now = time.time()
    monkeypatch.setattr(journals.time, "time", lambda: now + journals.KEEP_DAYS * 86_400 + 60)
    assert await journal.look("old/call_1", "send", "{}") == Interrupted()  # it is looked for once in a while
    await journal.begin("new/call_1", "send", "{}")
    monkeypatch.setattr(journals, "PRUNE_SECONDS", -1.0)
    assert await journal.look("old/call_1", "send", "{}") == Fresh()
    assert await journal.look("new/call_1", "send", "{}") == Interrupted()
    await journal.aclose()


async def test_closing_waits_for_what_was_asked_and_refuses_what_comes_later(journal: EffectJournal) -> None:
    asked = [asyncio.create_task(journal.begin(f"a/{number}", "send", "{}")) for number in range(10)]
    await asyncio.sleep(0)
    await journal.aclose()
    await journal.aclose()
    assert {str(await one) for one in asked} == {"Fresh()"}
    with pytest.raises(JournalError):
        await journal.begin("a/11", "send", "{}")


async def test_a_cancel_does_not_keep_an_outcome_from_being_noted(journal: EffectJournal) -> None:
    await journal.begin("a/call_1", "send", "{}")
    noting = asyncio.create_task(journal.finish("a/call_1", "sent"))
    await asyncio.sleep(0)
    noting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await noting
    assert await journal.begin("a/call_1", "send", "{}") == Repeated("sent")


async def test_a_journal_without_a_file_is_in_memory() -> None:
    journal = EffectJournal()
    await journal.begin("a/call_1", "send", "{}")
    assert await journal.begin("a/call_1", "send", "{}") == Interrupted()
    await journal.aclose()


CRASHES = """
import asyncio, sys
from pathlib import Path
from tool_service.execution.journal import EffectJournal

async def main():
    journal = EffectJournal(Path(sys.argv[1]))
    print(await journal.begin("a/call_1", "send", "{}"), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_process_that_is_killed_between_begin_and_finish_leaves_its_mark(tmp_path: Path) -> None:
    path = tmp_path / "effects.db"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CRASHES, str(path)), stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"Fresh()\n"
    process.kill()
    await process.wait()
    journal = EffectJournal(path)
    assert await journal.begin("a/call_1", "send", "{}") == Interrupted()
    await journal.aclose()
