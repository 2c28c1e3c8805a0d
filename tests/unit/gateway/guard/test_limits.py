"""How often and how many at once, with a clock that the test moves."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.guard.limits import Limits, Refusal, TokenBucket

# Seconds between two tries, over stretches from none to far longer than a bucket takes to fill.
PAUSES = st.lists(st.one_of(st.just(0.0), st.floats(0, 1), st.floats(0, 300)), max_size=80)
START = st.floats(0, 1e7)  # a monotonic clock begins anywhere


def begun(limits: Limits, caller: str, now: float) -> bool:
    """Whether a completion begins; it ends at once."""
    if limits.enter(caller, now) is not None:
        return False
    limits.leave(caller)
    return True


@given(per_minute=st.integers(1, 40), pauses=PAUSES, start=START)
def test_in_no_stretch_of_time_more_begin_than_the_bucket_and_its_rate_allow(
    per_minute: int, pauses: list[float], start: float
) -> None:
    limits, now, times = Limits(per_minute, 0), start, []
    for pause in pauses:
        now += pause
        if begun(limits, "a", now):
            times.append(now)
    for first, since in enumerate(times):
        for last in range(first, len(times)):
            allowed = per_minute + (times[last] - since) * per_minute / 60
            assert last - first + 1 <= allowed + 1e-3


@given(per_minute=st.integers(1, 40), pauses=PAUSES, start=START)
def test_who_is_told_when_to_come_back_is_let_in_then_and_not_before(
    per_minute: int, pauses: list[float], start: float
) -> None:
    bucket, now = TokenBucket(per_minute, 60 / per_minute), start
    for pause in pauses:
        now += pause
        seconds = bucket.take(now)
        if seconds:
            assert 0 < seconds <= 60 / per_minute + 1e-6
            assert seconds < 2e-3 or bucket.take(now + seconds - 1e-3) > 0
            now += math.ceil(seconds * 1000) / 1000  # what is said is in milliseconds
            assert bucket.take(now) == 0.0


@given(per_minute=st.integers(1, 40), start=START)
def test_a_caller_who_keeps_to_the_rate_is_never_refused(per_minute: int, start: float) -> None:
    limits = Limits(per_minute, 0)
    assert all(begun(limits, "a", start + turn * 60 / per_minute) for turn in range(100))


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), max_size=100), st.integers(1, 5))
def test_never_more_run_than_may_and_each_caller_counts_alone(steps: list[tuple[str, bool]], most: int) -> None:
    limits, running = Limits(0, most), {"a": 0, "b": 0}
    for caller, begins in steps:
        if begins:
            refusal = limits.enter(caller, 0.0)
            assert (refusal is None) == (running[caller] < most)
            running[caller] += refusal is None
        elif running[caller]:
            limits.leave(caller)
            running[caller] -= 1


def test_a_completion_that_is_refused_because_others_run_costs_nothing_of_the_rate() -> None:
    limits = Limits(2, 1)
    assert limits.enter("a", 0.0) is None
    for _ in range(5):
        refused = limits.enter("a", 0.0)
        assert refused is not None and refused.retry_seconds is None
    limits.leave("a")
    assert limits.enter("a", 0.0) is None
    limits.leave("a")
    assert limits.enter("a", 0.0) == Refusal("this caller may begin 2 completions a minute, and has", pytest.approx(30))


def test_without_limits_all_begin() -> None:
    limits = Limits(0, 0)
    assert all(limits.enter("", 0.0) is None for _ in range(1000))


def test_what_is_known_of_callers_who_stay_away_is_dropped() -> None:
    limits = Limits(1, 0)
    for number in range(1000):
        assert begun(limits, f"caller-{number}", number * 61.0)
    assert len(limits._buckets) <= 2
