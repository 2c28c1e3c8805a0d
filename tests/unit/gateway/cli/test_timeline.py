"""The timeline on a terminal: what stands in which column."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.archive.lanes import Lanes
from gateway.cli.timeline import timeline
from tests.unit.gateway.archive.test_lanes import EVENTS

WIDTH = 78
TRACK = slice(15, 15 + 40)


def drawn(events: list[dict[str, Any]], width: int = WIDTH) -> list[str]:
    return [line.plain for line in timeline(Lanes.of(events), width)]


def test_decoding_and_work_lie_below_each_other_at_their_times() -> None:
    first, call, second, failed, axis, legend = drawn(EVENTS)  # 1.8 s on 40 columns
    assert first.startswith("turn 1 ") and first.endswith(" 0.90 s")
    assert first[TRACK] == " " * 2 + "━" * 20 + " " * 18
    assert call.startswith("python ") and call.endswith(" 0.80 s, 0.40 hidden")
    assert call[TRACK] == " " * 8 + "···" + "▒" * 7 + "··" + "▒▒" + "█" * 5 + "·" + "█" * 5 + " " * 7
    assert second[TRACK] == " " * 35 + "━" * 5
    assert failed.endswith(" UNKNOWN_TOOL")
    assert axis.split() == ["0", "0.90", "1.80", "s"] and axis.endswith("1.80 s")
    assert "work hidden behind it" in legend


def test_nothing_is_drawn_of_nothing() -> None:
    assert drawn([]) == drawn(EVENTS[-1:]) == []


def test_of_many_calls_the_first_are_drawn_and_the_rest_counted() -> None:
    calls = [{"at_seconds": 0.3, "call_opened": {"call_id": str(n), "name": "a\x1b[31m\nb"}} for n in range(40)]
    lines = drawn([EVENTS[0], *calls])
    assert len(lines) == 1 + 30 + 1 + 2 and "… and 10 more calls" in lines
    assert not any("\x1b" in line or "\n" in line for line in lines)


@given(
    times=st.lists(st.floats(0, 1e5), min_size=4, max_size=4).map(sorted),
    busy=st.floats(0, 1e5),
    width=st.integers(1, 300),
)
def test_every_track_is_as_wide_as_any_other(times: list[float], busy: float, width: int) -> None:
    begin, opened, decoded, ended = times
    lines = drawn(
        [
            {"at_seconds": begin, "turn_started": {"turn": 0}},
            {"at_seconds": opened, "call_opened": {"call_id": "c", "name": "tool"}},
            {"at_seconds": decoded, "turn_decoded": {}},
            {"at_seconds": ended, "call_finished": {"call_id": "c", "busy_seconds": busy}},
        ],
        width,
    )
    if ended == 0:
        assert lines == []
        return
    turn, call = lines[:2]
    columns = max(16, width - 14 - 22 - 2)
    assert set(turn[15 : 15 + columns]) <= {"━", " "} and "━" in turn
    assert set(call[15 : 15 + columns]) <= {"·", "▒", "█", " "} and call[15 : 15 + columns].strip()
    assert turn[15 + columns] == call[15 + columns] == " "


@pytest.mark.parametrize("missing", ["turn_decoded", "call_finished"])
def test_what_has_not_ended_is_drawn_to_the_last_event(missing: str) -> None:
    lines = drawn([event for event in EVENTS[:8] if missing not in event])
    assert len(lines) == 4


@pytest.mark.parametrize("width", [40, 50, 61, 62, 80])
def test_what_has_no_room_is_left_out_and_not_run_together(width: int) -> None:
    lines = drawn(EVENTS, width)
    assert max(map(len, lines)) <= width
    call, axis = lines[1], next(line for line in lines if line.split()[:1] == ["0"])
    assert "0.80 s" in call and ("hidden" in call) == (width > 50)
    assert axis.split() == (["0", "1.80", "s"] if width < 60 else ["0", "0.90", "1.80", "s"])
    assert "".join(lines[lines.index(axis) + 1 :]).count("█ work waited for") == 1
