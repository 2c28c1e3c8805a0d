"""A completion that is tried again under its id: its script is not run twice, and the first result comes back."""

import asyncio
from pathlib import Path

import pytest

from tests.unit.tool_service.tools.sql.completions import Completion, opened, written
from tests.unit.tool_service.tools.sql.conftest import Store
from tool_service.execution import events as ev

SCRIPT = "INSERT INTO log VALUES (1, 1); SELECT count(*) AS n FROM log"
RESULT = "[1 row changed]\nn\n1\n[committed]\n"
PAUSE_SECONDS = 0.3  # in which the first statement would be run, and fail on the row that is there


def tried(store: Store, journal: Path) -> Completion:
    return Completion(store.settings(writable=True), id_="c1", journal=journal)


async def test_text_that_comes_at_once_gives_the_first_result(store: Store, tmp_path: Path) -> None:
    for _ in range(3):
        completion = tried(store, tmp_path / "effects.db")
        completion.runner.text(written(SCRIPT))
        assert await completion.end() == RESULT
    assert store.ask("SELECT count(*) FROM log") == [(1,)]


async def test_text_that_comes_slowly_gives_the_first_result(store: Store, tmp_path: Path) -> None:
    for _ in range(2):
        completion = tried(store, tmp_path / "effects.db")
        beginning = opened(SCRIPT)
        completion.runner.text(beginning)
        await asyncio.sleep(PAUSE_SECONDS)
        completion.runner.text(written(SCRIPT).removeprefix(beginning))
        assert await completion.end() == RESULT
    assert store.ask("SELECT count(*) FROM log") == [(1,)]


@pytest.mark.parametrize("end", ["cut", "cancelled"])
async def test_a_try_that_changed_nothing_is_followed_by_one_that_does(store: Store, tmp_path: Path, end: str) -> None:
    first = tried(store, tmp_path / "effects.db")
    first.runner.text(opened(SCRIPT))
    await first.until(ev.CallOutput)
    if end == "cut":
        assert isinstance(await first.end("length"), ev.Failure)
    await first.aclose()
    second = tried(store, tmp_path / "effects.db")
    second.runner.text(written(SCRIPT))
    assert await second.end() == RESULT
    assert store.ask("SELECT count(*) FROM log") == [(1,)]
