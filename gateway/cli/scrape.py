"""Reads the `/metrics` of services, and takes figures from two readings of the same one."""

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from gateway.cli.credentials import Credentials
from gateway.cli.gateway_http import WRONG, cause_of, get

ANSWER_SECONDS = 2.0
MOST_BYTES = 8 * 2**20

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Scrape:
    """What a service said at `at`, in seconds of the monotonic clock: each sample's value by its name and labels.

    Where it said nothing, `away` has the reason.
    """

    at: float
    samples: dict[str, dict[Labels, float]] = field(default_factory=dict)
    away: str = ""

    def of(self, name: str) -> dict[Labels, float]:
        """The samples of a name, by their labels."""
        return self.samples.get(name, {})


async def scrape(address: str, credentials: Credentials | None = None) -> Scrape:
    """Reads the metrics of the service at `address`, `host:port` or the beginning of a URL."""
    try:
        status, body = await get(address, "/metrics", credentials, ANSWER_SECONDS, MOST_BYTES)
    except WRONG as error:
        return Scrape(time.monotonic(), away=cause_of(error))
    if status >= 400:
        return Scrape(time.monotonic(), away=f"HTTP {status}")
    return parse(body.decode("utf-8", "replace"), time.monotonic())


def parse(text: str, at: float) -> Scrape:
    """Reads Prometheus' text format."""
    samples: defaultdict[str, dict[Labels, float]] = defaultdict(dict)
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                samples[sample.name][frozenset(sample.labels.items())] = sample.value
    except ValueError:
        return Scrape(at, away="no metrics")
    return Scrape(at, dict(samples))


@dataclass(frozen=True, slots=True)
class Between:
    """What has changed between two readings of one service; nothing where it was away in one of them."""

    before: Scrape
    after: Scrape

    @property
    def seconds(self) -> float:
        """The time between them."""
        return self.after.at - self.before.at

    @property
    def both(self) -> bool:
        """Whether there are two readings."""
        return not self.before.away and not self.after.away

    def grown(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        """How far each counter of this name has grown. One that fell was started anew, and counts from 0."""
        if not self.both:
            return
        earlier = self.before.of(name)
        for labels, value in self.after.of(name).items():
            was = earlier.get(labels, 0.0)
            yield dict(labels), value - was if value >= was else value


def total(several: Iterable[Between], name: str, **labels: str) -> float:
    """How far the counters of this name have grown together, those with these labels."""
    return sum(grown for each in several for found, grown in each.grown(name) if labels.items() <= found.items())


def quantiles(several: Iterable[Between], name: str, *shares: float) -> list[float] | None:
    """Quantiles of what a histogram has observed meanwhile, between the bounds of its buckets in proportion; None where
    it has observed nothing."""
    counts: defaultdict[float, float] = defaultdict(float)
    for each in several:
        for labels, grown in each.grown(f"{name}_bucket"):
            counts[float(labels["le"])] += grown
    bounds = sorted(counts)
    if not bounds or not counts[bounds[-1]]:
        return None
    return [_quantile(bounds, counts, share) for share in shares]


def _quantile(bounds: list[float], counts: dict[float, float], share: float) -> float:
    """As PromQL's `histogram_quantile`; what is beyond the last finite bound is that bound."""
    rank = share * counts[bounds[-1]]
    low, below = 0.0, 0.0
    for bound in bounds:
        if counts[bound] >= rank:
            return low if math.isinf(bound) else low + (bound - low) * (rank - below) / max(counts[bound] - below, 1)
        low, below = bound, counts[bound]
    return low
