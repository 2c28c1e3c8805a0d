"""Spans over all three services, sent by OTLP where a service is told where to (`traces_endpoint`); else nothing.

A service has one `Tracer` and begins spans by hand. A span's parent is a `traceparent`, the string that a request
carries from service to service (`context.py`): no more of OpenTelemetry is seen outside `otlp.py`, which is imported
only where spans are sent. Where they are not, `begin` hands back what lets every other line stand as it is: a span that
does nothing, and whose `traceparent` is its parent's.

Names and attributes are those of the GenAI semantic conventions,
https://github.com/open-telemetry/semantic-conventions-genai, and beyond them `conveyor.*`. No span holds text of a
prompt, an answer or a call.
"""

import asyncio
import enum
import hashlib
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from protos.rpc.errors import Reason, ServiceError
from protos.rpc.settings import ServiceSettings

Value = str | bool | int | float | Sequence[str]

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
ERROR = "error.type"
FLUSH_SECONDS = 2.0  # that a service which stops gives the spans that are not sent yet, within its grace
OURSELVES = "conveyor"  # as a provider of models, and as an agent


class Kind(enum.Enum):
    """Where a span stands: at a service's edge, or inside of it."""

    SERVER = "SERVER"
    INTERNAL = "INTERNAL"


class Span:
    """A span that is not kept. Times are in seconds of `time.monotonic()`; None means now.

    A context manager that ends it; what is raised through it fails it. `traceparent` is for what is called meanwhile.
    """

    def __init__(self, traceparent: str | None = None) -> None:
        self.traceparent = traceparent

    def note(self, attributes: Mapping[str, Value]) -> None:
        """Adds attributes."""

    def event(self, name: str, attributes: Mapping[str, Value] | None = None, at: float | None = None) -> None:
        """Something happened."""

    def fail(self, kind: str) -> None:
        """It came to nothing, for a reason of this kind: a short word."""

    def end(self, at: float | None = None) -> None:
        """Its end. Nothing that is said of it later counts."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.fail(kind_of(error))
        self.end()


class Tracer:
    """Begins spans that are not kept."""

    keeps = False

    def begin(
        self,
        name: str,
        kind: Kind,
        attributes: Mapping[str, Value],
        parent: str | None,
        *,
        at: float | None = None,
        span_id: int | None = None,
    ) -> Span:
        """Begins a span below `parent`, or a trace where there is none. `span_id`: its id, where others know it."""
        return Span(parent)

    async def aclose(self, seconds: float) -> None:
        """Sends what has ended, for so long at most."""


OFF = Tracer()


def open_tracer(service: str, settings: ServiceSettings) -> Tracer:
    """The tracer of a service by its settings. Whoever opens it closes it."""
    if not settings.traces_endpoint:
        return OFF
    from protos.rpc.otlp import OtlpTracer

    return OtlpTracer(service, settings.traces_endpoint, settings.traces_ratio)


def kind_of(error: BaseException) -> str:
    """A word for what went wrong: our own reason, or the name of an exception that has none."""
    if isinstance(error, ServiceError):
        return error.reason
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return Reason.CANCELLED
    return type(error).__name__


def turn_span_id(parent: str, turn: int) -> int:
    """The id of the span of a completion's turn, counted from 0, below the span that `parent` names.

    It follows from both, so that the tool service knows under which span a call stands without being told: the text of
    a turn comes by another way than all else, and may be there first.
    """
    _, trace, span, _ = parent.split("-")
    digest = hashlib.blake2b(f"{trace}-{span}-{turn}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) or 1


def turn_traceparent(parent: str, turn: int) -> str:
    """The `traceparent` of that span."""
    version, trace, _, flags = parent.split("-")
    return f"{version}-{trace}-{turn_span_id(parent, turn):016x}-{flags}"
