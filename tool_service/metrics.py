"""What the tool service counts."""

from collections.abc import Collection

from prometheus_client import Counter, Gauge, Histogram

from tool_service.execution import events

COMPLETIONS = Gauge("conveyor_tool_completions", "Completions that use tools now.")
CALLS = Counter("conveyor_tool_calls", "Calls by tool and outcome: ok or the error's code.", ["tool", "outcome"])
SECONDS = Histogram("conveyor_tool_call_seconds", "Time that calls worked.", ["tool"])
VETOES = Counter("conveyor_tool_vetoes", "Turns stopped by a call.")

CLIENTS = "client"  # the label of all functions of clients


class ToolMetrics:
    """Counts the events of one completion, with these functions of the client. Names that are no tool's are counted as
    "unknown" or "client", not by their text."""

    def __init__(self, functions: Collection[str] = ()) -> None:
        self._functions = functions
        self._names: dict[str, str] = {}

    def observe(self, event: events.Event) -> None:
        """Counts one event."""
        match event:
            case events.CallOpened():
                self._names[event.call_id] = CLIENTS if event.name in self._functions else event.name
            case events.TurnVetoed():
                VETOES.inc()
            case events.CallFinished():
                self._finished(event)

    def _finished(self, event: events.CallFinished) -> None:
        match event.outcome:
            case events.Failure(code=code):
                outcome = code
            case events.HandedOver():
                outcome = "handed over"
            case _:
                outcome = "ok"
        name = "unknown" if outcome == "UNKNOWN_TOOL" else self._names.get(event.call_id, "unknown")
        CALLS.labels(name, outcome).inc()
        SECONDS.labels(name).observe(event.busy)
