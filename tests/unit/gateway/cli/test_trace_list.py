"""The list of completions: what gives way where it is narrow, and what never does."""

import time
from typing import Any

import pytest

from gateway.cli.trace_list import listing

ID = "0f4417aebd5b"
LONG = "k" * 64
PROMPT = "What is six times\nseven, computed with \x1b[31mcare?"


def completion(**fields: Any) -> dict[str, Any]:
    ledger = {"completion_seconds": 1.257}
    known = {"id": ID, "begun_at": time.time(), "state": "finished", "mode": "partial", "prompt": PROMPT}
    return {**known, "ledger": ledger, **fields}


def lines(width: int | None, *completions: dict[str, Any]) -> list[str]:
    return [line.plain for line in listing(completions, width)]


def test_without_a_width_nothing_is_cut_and_no_line_ends_in_blanks() -> None:
    head, first, second, third = lines(
        None, completion(), completion(state="failed", ledger=None, prompt=""), completion(id=LONG)
    )
    assert head.split() == ["id", "begun", "state", "mode", "seconds", "prompt"]
    assert first.startswith(f"{ID} ") and first.endswith("  What is six times seven, computed with care?")
    assert second.split()[2:] == ["failed", "partial"] and second.endswith("partial")
    assert third.startswith(f"{LONG}  ")
    assert first.index("finished") == third.index("finished") == head.index("state")


@pytest.mark.parametrize("width", [1, 30, 50, 51, 67, 68, 80, 160])
@pytest.mark.parametrize("name", [ID, LONG])
def test_an_id_is_whole_on_every_terminal(width: int, name: str) -> None:
    shown = lines(width, completion(), completion(id=name, prompt="字" * 200))
    assert any(line.split()[0] == name for line in shown)
    assert all(len(line) <= width or line in (ID, LONG) for line in shown)


def test_a_narrow_terminal_gets_the_prompt_on_a_line_of_its_own() -> None:
    first, prompt = lines(50, completion())
    assert first.split()[0] == ID and first.endswith("finished  partial  1.26")
    assert prompt == "    What is six times seven, computed with care?"


def test_another_day_is_named() -> None:
    _, line = lines(None, completion(begun_at=0.0))
    assert any(day in line for day in ("Jan 01 ", "Dec 31 "))
