"""The archive: what runs, what waits to be written and what is kept are found as one, and nothing is lost silently."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, closing
from pathlib import Path

from structlog.testing import capture_logs

from gateway.archive import archive as module
from gateway.archive.archive import Archive
from gateway.archive.recording import Recording, State
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.rpc import context

FINISHED = pb.CompleteResponse(finished=pb.Finished(finish_reason=pb.FINISH_REASON_STOP, ledger=pb.Ledger()))


@asynccontextmanager
async def opened(path: Path | str = "", most: int = 1000, seconds: float = 10.0) -> AsyncIterator[Archive]:
    archive = Archive(str(path), most)
    await archive.open()
    yield archive
    await archive.close(seconds)


def begun(archive: Archive, name: str, prompt: str = "Hi", caller: str = "") -> "Running":
    return Running(archive, name, prompt, caller)


class Running:
    """A completion that runs until it is told to end."""

    def __init__(self, archive: Archive, name: str, prompt: str, caller: str) -> None:
        context.bind(context.RequestContext(name, caller=caller))
        request = pb.CompleteRequest(messages=[pb.Message(role="user", content=prompt)])
        self._block: AbstractContextManager[Recording] = archive.recording(request)
        self.recording = self._block.__enter__()
        self.cancelled = False
        self.recording.on_cancel(self._cancel)

    def end(self) -> None:
        self.recording.add(FINISHED)
        self._block.__exit__(None, None, None)

    def _cancel(self) -> None:
        self.cancelled = True


async def prompts(archive: Archive, caller: str = "") -> list[str]:
    return [summary.prompt for summary in await archive.recent(caller, 1000)]


async def found(archive: Archive, name: str) -> tuple[str, str] | None:
    one = await archive.find("", name)
    return None if one is None else (one.summary.prompt, one.summary.state)


async def test_all_that_end_at_once_are_kept_and_found_all_the_while(tmp_path: Path) -> None:
    async with opened(tmp_path / "file") as archive:
        running = [begun(archive, f"{number}", "x" * 1000) for number in range(3 * module.WRITTEN_AT_ONCE)]
        for one in running:
            one.end()
        assert len(await prompts(archive)) == len(running)
    async with opened(tmp_path / "file") as archive:
        assert len(await prompts(archive)) == len(running)


async def test_what_ends_while_the_gateway_ends_is_kept_or_the_log_has_it(tmp_path: Path) -> None:
    async with opened(tmp_path / "file") as archive:
        begun(archive, "a").end()
    other = sqlite3.connect(tmp_path / "file", isolation_level=None)
    with closing(other), capture_logs() as logs:
        async with opened(tmp_path / "file", seconds=0.01) as archive:
            other.execute("BEGIN IMMEDIATE")
            running = [begun(archive, f"{number}") for number in range(2)]
            for one in running:
                one.end()
        other.execute("ROLLBACK")
    told = {log["request_id"] for log in logs if log["event"] == "completion not kept"}
    assert told == {"0", "1"}
    assert archive._budget.taken == 0
    async with opened(tmp_path / "file") as archive:
        assert await found(archive, "a") == ("Hi", "finished")


async def test_what_cannot_be_written_is_logged_and_the_next_one_is_written(tmp_path: Path) -> None:
    async with opened(tmp_path / "file") as archive:
        with closing(sqlite3.connect(tmp_path / "file", isolation_level=None)) as database, capture_logs() as logs:
            database.execute("ALTER TABLE completions RENAME TO elsewhere")
            one = begun(archive, "a")
            one.end()
            await _written(archive)
            database.execute("ALTER TABLE elsewhere RENAME TO completions")
        assert [(log["event"], log["request_id"]) for log in logs] == [("completion not kept", "a")]
        begun(archive, "b").end()
        await _written(archive)
        assert await found(archive, "a") is None and await found(archive, "b") == ("Hi", "finished")


async def test_of_two_tries_the_newer_is_found_and_kept_whichever_ends_first(tmp_path: Path) -> None:
    async with opened(tmp_path / "file") as archive:
        older, newer = begun(archive, "a", "first"), begun(archive, "a", "second")
        assert await found(archive, "a") == ("second", "running")
        newer.end()
        await _written(archive)
        assert await found(archive, "a") == ("second", "finished") and await prompts(archive) == ["second"]
        older.end()
        await _written(archive)
        assert await found(archive, "a") == ("second", "finished")

        older, newer = begun(archive, "b", "first"), begun(archive, "b", "second")
        older.end()
        await _written(archive)
        assert await found(archive, "b") == ("second", "running")
        newer.end()
        await _written(archive)
        assert await prompts(archive) == ["second", "second"]


async def test_where_none_is_kept_an_older_try_that_still_runs_is_found() -> None:
    async with opened(most=0) as archive:
        older, newer = begun(archive, "a", "first"), begun(archive, "a", "second")
        newer.end()
        assert await found(archive, "a") == ("first", "running")
        older.end()
        assert await found(archive, "a") is None and await prompts(archive) == []


async def test_both_tries_are_cancelled_and_forgotten_together(tmp_path: Path) -> None:
    async with opened(tmp_path / "file") as archive:
        tries = [begun(archive, "a", "first"), begun(archive, "a", "second")]
        other = begun(archive, "a", "another's", caller="bob")
        cancelling = asyncio.create_task(archive.cancel("", "a"))
        await asyncio.sleep(0)
        assert [one.cancelled for one in tries] == [True, True] and not other.cancelled
        assert not cancelling.done()
        assert await archive.forget("", "a") and not await archive.forget("", "a")
        for one in (*tries, other):
            one.end()
        await cancelling
        await _written(archive)
        assert await found(archive, "a") is None and await prompts(archive, "bob") == ["another's"]


async def test_what_is_forgotten_on_its_way_to_the_file_is_not_kept(tmp_path: Path) -> None:
    async with opened(tmp_path / "file") as archive:
        for _ in range(20):  # wherever the writer is just now
            begun(archive, "a").end()
            await asyncio.sleep(0)
            assert await archive.forget("", "a")
        await _written(archive)
        assert await found(archive, "a") is None and archive._budget.taken == 0


async def _written(archive: Archive) -> None:
    """Until nothing waits to be written."""
    while any(State.ENDED in [one.state for one in same] for same in archive._recordings.values()):  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0)
