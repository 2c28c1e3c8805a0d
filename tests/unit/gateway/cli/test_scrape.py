"""Figures between two readings of metrics."""

import math

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from gateway.cli.scrape import Between, Scrape, parse, quantiles, total


def read(registry: CollectorRegistry, at: float) -> Scrape:
    return parse(generate_latest(registry).decode(), at)


def test_counters_grow_by_label_and_begin_anew_with_their_service() -> None:
    registry, anew = CollectorRegistry(), CollectorRegistry()
    calls, again = (Counter("calls", "…", ["tool"], registry=each) for each in (registry, anew))
    calls.labels("a").inc(5)
    before = read(registry, 1.0)
    calls.labels("a").inc(2)
    calls.labels("b").inc()
    between = Between(before, read(registry, 3.0))
    again.labels("a").inc(3)
    restarted = Between(before, read(anew, 3.0))
    assert between.seconds == 2.0
    assert (total([between], "calls_total"), total([between], "calls_total", tool="b")) == (3.0, 1.0)
    assert total([restarted], "calls_total") == 3.0
    assert total([between, restarted], "calls_total") == 6.0
    assert total([Between(Scrape(0.0, away="gone"), before)], "calls_total") == 0.0


@pytest.mark.parametrize(
    ("seen", "share", "quantile"),
    [
        ([0.5] * 10, 0.5, 0.5),  # the middle of the only bucket that has some
        ([0.5] * 9 + [1.5], 0.95, 1.5),
        ([1.5] * 4, 1.0, 2.0),
        ([7.0], 0.5, 2.0),  # beyond the last bound
    ],
)
def test_quantiles_are_prometheus_own_and_of_the_interval_alone(
    seen: list[float], share: float, quantile: float
) -> None:
    registry = CollectorRegistry()
    histogram = Histogram("seconds", "…", buckets=(1.0, 2.0, math.inf), registry=registry)
    histogram.observe(100.0)
    before = read(registry, 0.0)
    for value in seen:
        histogram.observe(value)
    assert quantiles([Between(before, read(registry, 1.0))], "seconds", share) == [pytest.approx(quantile)]
    assert quantiles([Between(before, before)], "seconds", share) is None


def test_what_is_no_metrics_is_away() -> None:
    assert parse("<html>{{{</html>", 0.0).away == "no metrics"
