import pytest

from benchmarks.workloads.rounds import Samples
from benchmarks.workloads.rows import interval, rows_of
from tests.unit.benchmarks.workloads.completions import completion

HALVES = [(5, 0.4), (10, 0.4)]


def measured() -> Samples:
    samples = Samples()
    for factor in (1.0, 2.0, 1.0):  # a slow round falls on all modes
        samples.add("w", "serial", [completion(1.8 * factor, HALVES, started=1.0)])
        samples.add("w", "on_seal", [completion(1.6 * factor, HALVES)])
        samples.add("w", "partial", [completion(1.4 * factor, HALVES)])
    return samples


def test_savings_are_against_the_same_round():
    serial, on_seal, partial = rows_of(measured())
    assert (serial.saved_vs_serial, on_seal.saved_vs_on_seal) == (None, None)
    assert partial.saved_vs_serial == pytest.approx(1 - 1.4 / 1.8)
    assert partial.saved_vs_on_seal == pytest.approx(1 - 1.4 / 1.6)
    assert partial.completion_seconds.p50 == pytest.approx(1.4)
    assert partial.trials == 3


def test_the_share_of_the_ideal_is_the_median_of_the_rounds():
    *_, partial = rows_of(measured())
    assert partial.attained == pytest.approx(1)
    assert partial.ideal_seconds == pytest.approx(1.4)
    assert partial.savable_seconds == pytest.approx(0.4)


def test_a_vetoed_completion_has_savings_but_no_ideal():
    samples = Samples()
    samples.add("w", "serial", [completion(1.1, [(1, 0.1)])])
    samples.add("w", "partial", [completion(0.3, [(1, 0.1)], vetoed=True)])
    _, partial = rows_of(samples)
    assert partial.saved_vs_serial == pytest.approx(1 - 0.3 / 1.1)
    assert (partial.ideal_seconds, partial.attained) == (None, None)


def test_an_interval_holds_the_median_and_is_the_same_each_time():
    values = [1.0, 2.0, 3.0, 4.0, 100.0]
    low, high = interval(values)
    assert low <= 3.0 <= high
    assert interval(values) == (low, high)
    assert interval([2.0]) == (2.0, 2.0)
