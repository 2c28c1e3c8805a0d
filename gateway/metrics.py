"""What Prometheus is told."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from gateway.ledger import Ledger
from gateway.outcome import error_of

_SHORT = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LONG = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
_SHARES = tuple(tenth / 10 for tenth in range(1, 11))


class Metrics:
    """Counters of one gateway, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self._requests = Counter(
            "conveyor_requests",
            "Completions by outcome: OK, or the reason of the failure.",
            ("outcome",),
            registry=self.registry,
        )
        self.running = Gauge("conveyor_requests_running", "Completions that run.", registry=self.registry)
        self._first_token = self._histogram(
            "conveyor_time_to_first_token_seconds", "From a request's arrival to its first text.", _SHORT
        )
        self._latency = self._histogram(
            "conveyor_e2e_request_latency_seconds", "From a request's arrival to its last event.", _LONG
        )
        self._hidden = self._histogram(
            "conveyor_tool_hidden_seconds", "Work of tools that cost no waiting, per completion.", _SHORT
        )
        self._attained = self._histogram(
            "conveyor_overlap_attained_ratio", "Share of the time that overlap could save and did.", _SHARES
        )

    def first_token(self, seconds: float) -> None:
        """The first text of a completion has come."""
        self._first_token.observe(seconds)

    def finished(self, ledger: Ledger) -> None:
        """A completion has come to its end."""
        self._latency.observe(ledger.completion)
        if ledger.tool:
            self._hidden.observe(ledger.hidden)
        if ledger.attained is not None:
            self._attained.observe(ledger.attained)

    @contextmanager
    def outcome(self) -> Iterator[None]:
        """Counts how the block ends."""
        outcome: str = "OK"
        try:
            yield
        except BaseException as error:
            outcome = error_of(error).reason
            raise
        finally:
            self._requests.labels(outcome).inc()

    def render(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self.registry)

    def _histogram(self, name: str, documentation: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, documentation, buckets=buckets, registry=self.registry)
