"""A collector of spans that speaks OTLP over gRPC, and keeps what it is sent."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2


@dataclass(frozen=True)
class Kept:
    """A span as it came, and the service that sent it."""

    service: str
    span: trace_pb2.Span

    @property
    def name(self) -> str:
        return self.span.name

    @property
    def attributes(self) -> dict[str, Any]:
        return values(self.span.attributes)

    @property
    def events(self) -> list[str]:
        return [event.name for event in self.span.events]

    @property
    def failed(self) -> str:
        """The status' message where it is ERROR, else nothing."""
        return self.span.status.message if self.span.status.code == trace_pb2.Status.STATUS_CODE_ERROR else ""


@dataclass
class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Everything that was exported, in no order. `endpoint` is for a service's settings."""

    spans: list[Kept] = field(default_factory=list)
    endpoint: str = ""

    async def Export(
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: object
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        for resource in request.resource_spans:
            service = values(resource.resource.attributes)["service.name"]
            self.spans += [Kept(service, span) for scope in resource.scope_spans for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()

    def named(self, name: str) -> list[Kept]:
        """Those of this name, by when they began."""
        return sorted(
            (kept for kept in self.spans if kept.name == name), key=lambda kept: kept.span.start_time_unix_nano
        )

    def below(self, parent: bytes) -> set[str]:
        """Names of the spans right below one."""
        return {kept.name for kept in self.spans if kept.span.parent_span_id == parent}


def values(pairs: "list[KeyValue] | Any") -> dict[str, Any]:
    """Attributes as Python's values."""
    found = {}
    for pair in pairs:
        kind = pair.value.WhichOneof("value")
        value = getattr(pair.value, kind)
        found[pair.key] = [each.string_value for each in value.values] if kind == "array_value" else value
    return found


@contextlib.asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """A collector on a free port."""
    collector, server = Collector(), grpc.aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    collector.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield collector
    finally:
        await server.stop(0)
