"""What the tool service counts."""

from collections.abc import Collection
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tool_service.execution import events

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 600.0)
CLIENTS = "client"  # the label of all functions of clients
UNKNOWN = "unknown"  # and of names that the model made up


class ToolMetrics:
    """The metrics of a tool service."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.completions = Gauge("conveyor_tool_completions", "Completions that use tools now.", registry=registry)
        labels = ["tool", "mode"]
        self.calls = Counter(
            "conveyor_tool_calls",
            "Calls by tool, mode and outcome: ok or the error's code.",
            [*labels, "outcome"],
            registry=registry,
        )
        self.running = Gauge(
            "conveyor_tool_calls_running",
            "Calls whose tool works, or waits for more of the call.",
            ["tool"],
            registry=registry,
        )
        self.seconds = Histogram(
            "conveyor_tool_call_seconds", "Time that calls worked.", labels, buckets=SECONDS, registry=registry
        )
        self.wasted = Histogram(
            "conveyor_wasted_tool_seconds",
            "Time that calls worked which came to nothing.",
            labels,
            buckets=SECONDS,
            registry=registry,
        )
        self.vetoes = Counter("conveyor_tool_vetoes", "Turns stopped by a call.", labels, registry=registry)


@dataclass(slots=True)
class _Call:
    tool: str
    busy: float = 0.0
    has_started: bool = False


class CallMetrics:
    """Counts the events of one completion, in this mode; `labels` has the label of each name that is a tool's."""

    def __init__(self, metrics: ToolMetrics, mode: str, labels: "Labels") -> None:
        self._metrics = metrics
        self._mode = mode
        self._labels = labels
        self._calls: dict[str, _Call] = {}  # those that have not finished

    def observe(self, event: events.Event) -> None:
        """Counts one event."""
        match event:
            case events.CallOpened():
                self._calls[event.call_id] = _Call(self._labels.of(event.name))
            case events.CallStarted(call_id=call_id) if call_id in self._calls:
                self._calls[call_id].has_started = True
                self._metrics.running.labels(self._calls[call_id].tool).inc()
            case events.UnitFinished(call_id=call_id) if call_id in self._calls:
                self._calls[call_id].busy += event.unit.busy
            case events.TurnVetoed(call_id=call_id) if call_id in self._calls:
                self._metrics.vetoes.labels(self._calls[call_id].tool, self._mode).inc()
            case events.CallFinished(call_id=call_id) if call_id in self._calls:
                self._finish(self._calls.pop(call_id), event)

    def close(self) -> None:
        """The completion is over: calls that have not finished have been cancelled."""
        for call in self._calls.values():
            self._over(call, call.busy, "CANCELLED")
        self._calls.clear()

    def _finish(self, call: _Call, event: events.CallFinished) -> None:
        match event.outcome:
            case events.Failure(code=code):
                outcome = code
            case events.HandedOver():
                outcome = "handed over"
            case _:
                outcome = "ok"
        self._over(call, event.busy, outcome)

    def _over(self, call: _Call, busy: float, outcome: str) -> None:
        self._metrics.calls.labels(call.tool, self._mode, outcome).inc()
        self._metrics.seconds.labels(call.tool, self._mode).observe(busy)
        if outcome not in ("ok", "handed over") and busy:
            self._metrics.wasted.labels(call.tool, self._mode).observe(busy)
        if call.has_started:
            self._metrics.running.labels(call.tool).dec()


class Labels:
    """What names of calls are counted and traced as: a tool's as it is, those of the client's functions as one, and all
    that a model made up as another, so that there are never more of them than there are tools."""

    def __init__(self, tools: Collection[str], functions: Collection[str]) -> None:
        self._tools = frozenset(tools)
        self._functions = frozenset(functions)

    def of(self, name: str) -> str:
        """The label of a name."""
        if name in self._functions:
            return CLIENTS
        return name if name in self._tools else UNKNOWN
