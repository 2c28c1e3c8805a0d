"""What a completion's calls leave behind beside their events: metrics, and spans where they are kept."""

from dataclasses import dataclass

from tool_service.call_spans import CallSpans
from tool_service.execution.events import Event
from tool_service.metrics import CallMetrics


@dataclass(frozen=True, slots=True)
class Observed:
    """Hears of every event in the moment in which it happens. `spans`, or else `parent`: what the completion came with,
    which is passed on where no spans are kept here."""

    metrics: CallMetrics
    spans: CallSpans | None
    parent: str | None

    def observe(self, event: Event) -> None:
        """Takes one event."""
        self.metrics.observe(event)
        if self.spans is not None:
            self.spans.observe(event)

    def traceparent(self, call_id: str) -> str | None:
        """What a call tells whom it asks, once it is opened."""
        return self.parent if self.spans is None else self.spans.traceparent(call_id)

    def turn_decoded(self) -> None:
        """The running turn's text is at its end."""
        if self.spans is not None:
            self.spans.turn_decoded()

    def close(self) -> None:
        """The completion is over, and every call has been stopped."""
        self.metrics.close()
        if self.spans is not None:
            self.spans.close()
