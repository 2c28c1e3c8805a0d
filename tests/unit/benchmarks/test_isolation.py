"""The benchmark of the engine's isolation: what it makes of the moments at which tokens came."""

import pytest

from benchmarks.isolating.sessions import Streamed, TooShortError
from benchmarks.isolation import gain


def test_only_the_time_in_which_every_session_decodes_counts():
    early = [number / 100 for number in range(200)]
    late = [1.0 + number / 100 for number in range(200)]
    streamed = Streamed.of([early, late])  # both decode from 1.0 to 1.99
    assert streamed.rate == pytest.approx(200, rel=0.01)
    assert [streamed.p50, streamed.p99] == pytest.approx([10, 10])


def test_pauses_are_in_the_highest_percentile():
    paused = [number / 100 + number // 60 for number in range(240)]
    streamed = Streamed.of([paused, [0.0, 6.0]])
    assert [streamed.p50, streamed.p99] == pytest.approx([10, 1010])


def test_sessions_that_do_not_decode_together_are_an_error():
    with pytest.raises(TooShortError, match="0 gaps"):
        Streamed.of([[0.0, 1.0], [2.0, 3.0]])


def test_the_gain_is_that_of_the_medians():
    of = {"thread": [100.0, 200.0, 900.0], "process": [300.0, 10.0, 400.0]}
    assert gain({name: [Streamed(rate, 1, 1) for rate in rates] for name, rates in of.items()}) == 1.5
