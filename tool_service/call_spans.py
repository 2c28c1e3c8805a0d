"""The spans of a completion's calls: `execute_tool`, from the call's name in the text to its outcome.

A call stands below the turn that wrote it, whose span is the decoder's (`turn_span_id`), one that a tool makes below
that tool's call. Each unit of work is an event of the span. A function of the client is none of ours to trace.
"""

import time
from dataclasses import dataclass

from protos.rpc.errors import Reason
from protos.rpc.tracing import OPERATION, Kind, Span, Tracer, Value, turn_traceparent
from tool_service.execution import events
from tool_service.metrics import CLIENTS, Labels


@dataclass(slots=True)
class _Call:
    span: Span
    hidden: float = 0.0


class CallSpans:
    """Makes them of the events of one completion, whose own span is `parent`."""

    def __init__(self, tracer: Tracer, parent: str | None, mode: str, labels: Labels) -> None:
        self._tracer = tracer
        self._parent = parent
        self._mode = mode
        self._labels = labels
        self._turn = 0
        self._decoded_at: float | None = None  # the running turn's text
        self._calls: dict[str, _Call] = {}  # those that have not finished

    def observe(self, event: events.Event) -> None:
        """Takes one event, as it happens."""
        match event:
            case events.CallOpened():
                self._open(event)
            case events.TurnFinished():
                self._turn += 1
                self._decoded_at = None
            case events.CallStarted(call_id=call_id) if call_id in self._calls:
                self._calls[call_id].span.event("started")
            case events.UnitFinished(call_id=call_id) if call_id in self._calls:
                self._work(self._calls[call_id], event)
            case events.ApprovalAwaited(call_id=call_id) if call_id in self._calls:
                self._calls[call_id].span.event("approval_awaited")
            case events.TurnVetoed(call_id=call_id) if call_id in self._calls:
                self._calls[call_id].span.event("turn_vetoed")
            case events.CallFinished(call_id=call_id) if call_id in self._calls:
                self._finish(self._calls.pop(call_id), event)

    def traceparent(self, call_id: str) -> str | None:
        """Of the span of a call that goes on."""
        return self._calls[call_id].span.traceparent if call_id in self._calls else None

    def turn_decoded(self) -> None:
        """The turn's text is at its end: work from now on is waited for."""
        self._decoded_at = time.monotonic()

    def close(self) -> None:
        """The completion is over: calls that have not finished have been cancelled."""
        for call in self._calls.values():
            call.span.fail(Reason.CANCELLED)
            call.span.end()
        self._calls.clear()

    def _open(self, event: events.CallOpened) -> None:
        tool = self._labels.of(event.name)
        if tool == CLIENTS:
            return
        attributes: dict[str, Value] = {
            OPERATION: "execute_tool",
            "gen_ai.tool.name": tool,
            "gen_ai.tool.call.id": event.call_id,
            "gen_ai.tool.type": "extension",  # runs beside the model, not at the client
            "conveyor.mode": self._mode,
            "conveyor.opened_at": event.offset,
        }
        span = self._tracer.begin(f"execute_tool {tool}", Kind.INTERNAL, attributes, self._above(event.parent_id))
        self._calls[event.call_id] = _Call(span)

    def _above(self, parent_id: str) -> str | None:
        if parent_id in self._calls:
            return self.traceparent(parent_id)
        return None if self._parent is None else turn_traceparent(self._parent, self._turn)

    def _work(self, call: _Call, event: events.UnitFinished) -> None:
        unit = event.unit
        late = 0.0 if self._decoded_at is None else time.monotonic() - self._decoded_at
        call.hidden += max(0.0, unit.busy - late)
        call.span.event("unit", {"conveyor.text_offset": unit.offset, "conveyor.busy_seconds": unit.busy})

    def _finish(self, call: _Call, event: events.CallFinished) -> None:
        call.span.note(
            {
                "conveyor.busy_seconds": event.busy,
                "conveyor.waiting_seconds": event.waiting,
                "conveyor.queued_seconds": event.queued,
                "conveyor.hidden_seconds": min(call.hidden, event.busy),
                **({} if event.sealed_at is None else {"conveyor.sealed_at": event.sealed_at}),
            }
        )
        if isinstance(event.outcome, events.Failure):
            call.span.fail(event.outcome.code)
        call.span.end()
