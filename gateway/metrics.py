"""What Prometheus is told.

Names and buckets are vLLM's where it has the same (vllm/v1/metrics/loggers.py), with `conveyor_` in the place of
`vllm:`; docs/operations.md says where they differ.
"""

from collections.abc import Iterable

from prometheus_client import Counter, Gauge, Histogram, generate_latest

from gateway.ledger import Ledger
from protos.rpc.telemetry import new_registry

_TO_MINUTES = (0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0)
FIRST_TOKEN = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, *_TO_MINUTES, 160.0, 640.0, 2560.0)
# Begins lower than vLLM's, as does the next: a small model on a processor takes a few milliseconds a step.
BETWEEN_TOKENS = (0.001, 0.0025, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, *_TO_MINUTES)
_TO_HOURS = (10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0)
LATENCY = (0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, *_TO_HOURS)
HIDDEN = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 600.0)
SHARES = tuple(tenth / 10 for tenth in range(1, 11))
SEVERAL = "several"  # the label of completions that used more than one tool


class Metrics:
    """Counters of one gateway, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = new_registry()
        self._requests = Counter(
            "conveyor_requests",
            "Completions by outcome: OK, or the reason of the failure.",
            ("outcome",),
            registry=self.registry,
        )
        self._success = Counter(
            "conveyor_request_success",
            "Completions that came to their end, by its reason.",
            ("finished_reason",),
            registry=self.registry,
        )
        self._keys_refused = Counter(
            "conveyor_keys_refused",
            "Requests refused for their key, by cause: missing, unknown.",
            ("cause",),
            registry=self.registry,
        )
        for cause in ("missing", "unknown"):
            self._keys_refused.labels(cause)  # there from the start, for a rate has to have where it rose from
        self.running = Gauge("conveyor_requests_running", "Completions that run.", registry=self.registry)
        first, between, latency = (
            self._histogram(f"conveyor_{name}_seconds", documentation, buckets)
            for name, documentation, buckets in (
                ("time_to_first_token", "From a request's arrival to its first text.", FIRST_TOKEN),
                ("inter_token_latency", "Between two pieces of a turn's text.", BETWEEN_TOKENS),
                ("e2e_request_latency", "From a request's arrival to its last event.", LATENCY),
            )
        )
        self.first_token, self.between_tokens, self._latency = first.observe, between.observe, latency.observe
        labels = ("tool", "mode")
        self._hidden = self._histogram(
            "conveyor_tool_hidden_seconds", "Work of calls that cost no waiting, per call that worked.", HIDDEN, labels
        )
        self._attained = self._histogram(
            "conveyor_overlap_attained_ratio", "Share of the time that overlap could save and did.", SHARES, labels
        )

    def finished(self, reason: str, ledger: Ledger, mode: str, hidden: Iterable[tuple[str, float]]) -> None:
        """A completion has come to its end, for this reason. `hidden`: of each call that worked, its tool and the
        seconds of its work that cost no waiting."""
        self._success.labels(reason).inc()
        self._latency(ledger.completion)
        tools = set()
        for tool, seconds in hidden:
            tools.add(tool)
            self._hidden.labels(tool, mode).observe(seconds)
        if ledger.attained is not None:
            self._attained.labels(tools.pop() if len(tools) == 1 else SEVERAL, mode).observe(ledger.attained)

    def key_refused(self, cause: str) -> None:
        """A request has shown no key, or one that is not known."""
        self._keys_refused.labels(cause).inc()

    def ended(self, outcome: str) -> None:
        """A completion is over, however it ended."""
        self._requests.labels(outcome).inc()

    def render(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self.registry)

    def _histogram(
        self, name: str, documentation: str, buckets: tuple[float, ...], labels: tuple[str, ...] = ()
    ) -> Histogram:
        return Histogram(name, documentation, labels, buckets=buckets, registry=self.registry)
