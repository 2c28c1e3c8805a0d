"""What is expected of calls, by what calls of the same tools took."""

import pytest

from decoder_service.tool_durations import MAX_TOOLS, MEAN_OF, UNKNOWN_SECONDS, OpenCalls, ToolDurations


def durations(**seconds: float) -> ToolDurations:
    known = ToolDurations()
    for tool, took in seconds.items():
        known.observe(tool, took)
    return known


def test_the_mean_of_few_calls_is_their_mean_and_of_many_follows_the_last() -> None:
    known = durations()
    assert known.mean("search") == UNKNOWN_SECONDS
    known.observe("search", 2.0)
    known.observe("search", 4.0)
    assert known.mean("search") == 3.0
    for _ in range(10 * MEAN_OF):
        known.observe("search", 10.0)
    assert known.mean("search") == pytest.approx(10, abs=0.01)


def test_only_so_many_tools_are_remembered_the_latest() -> None:
    known = durations()
    for number in range(MAX_TOOLS + 1):
        known.observe(f"tool {number}", 5.0)
    assert known.mean("tool 0") == UNKNOWN_SECONDS
    assert known.mean(f"tool {MAX_TOOLS}") == 5.0


def test_calls_side_by_side_are_done_with_the_last_and_one_by_one_after_the_sum() -> None:
    for one_by_one, expected in ((False, 105.0), (True, 107.0)):
        calls = OpenCalls(durations(slow=6.0, quick=2.0), one_by_one)
        calls.opened("1", "slow")
        calls.opened("2", "quick")
        calls.started("1", 99.0)
        assert calls.done_at(100.0) == expected


def test_a_call_that_is_late_is_expected_to_take_as_long_again() -> None:
    calls = OpenCalls(durations(slow=6.0), one_by_one=False)
    calls.opened("1", "slow")
    calls.started("1", 100.0)
    assert calls.done_at(130.0) == 160.0


def test_a_finished_call_is_learned_from_and_no_longer_expected() -> None:
    known = durations()
    calls = OpenCalls(known, one_by_one=False)
    calls.opened("1", "search")
    calls.started("1", 100.0)
    calls.finished("1", 107.0)
    assert calls.done_at(107.0) is None
    assert known.mean("search") == 7.0


def test_calls_inside_others_and_calls_that_never_started_teach_nothing() -> None:
    known = durations()
    calls = OpenCalls(known, one_by_one=False)
    calls.opened("1", "search")
    calls.started("1.1", 100.0)
    calls.finished("1.1", 105.0)
    calls.finished("1", 110.0)
    assert known.mean("search") == UNKNOWN_SECONDS
