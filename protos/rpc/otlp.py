"""The spans that are kept: OpenTelemetry's SDK, and OTLP over gRPC to a collector.

Ended spans wait in a queue of `QUEUE_SPANS` for a thread of their own that sends them; where the collector does not
take them, they are dropped, and the log says so once a minute. Serving neither waits for them nor fails with them.

What the SDK reads from the environment holds: `OTEL_EXPORTER_OTLP_HEADERS` for a key, `OTEL_EXPORTER_OTLP_CERTIFICATE`,
`OTEL_RESOURCE_ATTRIBUTES`. Its global tracer is left alone: several services may live in one process.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Mapping

import structlog
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from protos.rpc import tracing
from protos.rpc.tracing import ERROR, Kind, Value

QUEUE_SPANS = 4096
BATCH_SPANS = 512
PERIOD_SECONDS = 1.0  # between two batches
EXPORT_SECONDS = 5.0  # that a batch may take, tries included
SAY_SECONDS = 60.0

log = structlog.get_logger()


class OtlpSpan(tracing.Span):
    """A span, recorded where its trace is sampled."""

    def __init__(self, span: trace.Span, offset: int) -> None:
        context = span.get_span_context()
        super().__init__(f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}")
        self._span = span
        self._offset = offset  # of the epoch from the monotonic clock, so that a clock that is set bends no span

    def note(self, attributes: Mapping[str, Value]) -> None:
        """See `tracing.Span`, as all of these."""
        self._span.set_attributes(attributes)

    def event(self, name: str, attributes: Mapping[str, Value] | None = None, at: float | None = None) -> None:
        """Something happened."""
        self._span.add_event(name, attributes, _nanoseconds(at) + self._offset)

    def fail(self, kind: str) -> None:
        """It came to nothing."""
        self._span.set_attribute(ERROR, kind)
        self._span.set_status(trace.StatusCode.ERROR, kind)

    def end(self, at: float | None = None) -> None:
        """Its end."""
        self._span.end(_nanoseconds(at) + self._offset)


class OtlpTracer(tracing.Tracer):
    """Sends the spans of `service` to `endpoint`, `http://host:port`, or `https://…` with TLS.

    A trace that began elsewhere is kept where the flag of its `traceparent` says so; of those that begin here, the
    share `ratio` is.
    """

    keeps = True

    def __init__(self, service: str, endpoint: str, ratio: float) -> None:
        _tell_of_failures()
        self._ids = _Ids()
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(ratio)),
            resource=Resource.create({SERVICE_NAME: f"conveyor-{service}"}),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        self._exporter = OTLPSpanExporter(endpoint, timeout=EXPORT_SECONDS)
        batches = BatchSpanProcessor(
            self._exporter,
            max_queue_size=QUEUE_SPANS,
            schedule_delay_millis=PERIOD_SECONDS * 1000,
            max_export_batch_size=BATCH_SPANS,
        )
        self._provider.add_span_processor(batches)
        self._tracer = self._provider.get_tracer("conveyor")

    def begin(
        self,
        name: str,
        kind: Kind,
        attributes: Mapping[str, Value],
        parent: str | None,
        *,
        at: float | None = None,
        span_id: int | None = None,
    ) -> OtlpSpan:
        """Begins a span below `parent`, or a trace where there is none."""
        offset = time.time_ns() - time.monotonic_ns()
        self._ids.next_span_id = span_id
        span = self._tracer.start_span(
            name,
            context=trace.set_span_in_context(_span_of(parent)),
            kind=trace.SpanKind[kind.value],
            attributes=attributes,
            start_time=_nanoseconds(at) + offset,
        )
        return OtlpSpan(span, offset)

    async def aclose(self, seconds: float) -> None:
        """Sends what has ended, for so long at most; what is still on its way then is given up."""
        loop, closed = asyncio.get_running_loop(), asyncio.Event()

        def close() -> None:
            self._provider.shutdown()
            with contextlib.suppress(RuntimeError):  # the loop did not wait for it
                loop.call_soon_threadsafe(closed.set)

        threading.Thread(target=close, name="traces", daemon=True).start()
        try:
            async with asyncio.timeout(seconds):
                await closed.wait()
        except TimeoutError:
            self._exporter.shutdown()


class _Ids(RandomIdGenerator):
    """Random ids, but where the next one is known."""

    next_span_id: int | None = None

    def generate_span_id(self) -> int:
        known, self.next_span_id = self.next_span_id, None
        return super().generate_span_id() if known is None else known


class _ToStructlog(logging.Handler):
    """What the SDK says of its failures, as an event of the service's log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said_at = -SAY_SECONDS

    def emit(self, record: logging.LogRecord) -> None:
        if (now := time.monotonic()) - self._said_at >= SAY_SECONDS:
            self._said_at = now
            log.warning("traces_not_sent", cause=record.getMessage())


def _tell_of_failures() -> None:
    logger = logging.getLogger("opentelemetry")
    if not any(isinstance(handler, _ToStructlog) for handler in logger.handlers):
        logger.addHandler(_ToStructlog())
        logger.propagate = False


def _span_of(parent: str | None) -> trace.Span:
    if parent is None:
        return trace.INVALID_SPAN
    trace_id, span_id, flags = (int(part, 16) for part in parent.split("-")[1:])
    context = trace.SpanContext(trace_id, span_id, is_remote=True, trace_flags=trace.TraceFlags(flags))
    return trace.NonRecordingSpan(context)


def _nanoseconds(at: float | None) -> int:
    return time.monotonic_ns() if at is None else int(at * 1e9)
