"""The three real services on loopback, in one event loop, with the real model."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import grpc
import torch
from prometheus_client import CollectorRegistry

from benchmarks.isolating.thread_engine import ThreadEngine
from decoder_service.assembly import assemble, describe
from decoder_service.completion import Decoder
from decoder_service.engine.building import engine_of, hello_of
from decoder_service.engine.engine import Engine
from decoder_service.engine.runner import ModelRunner
from decoder_service.engine.sequence import Piece
from decoder_service.metrics import DecoderMetrics
from decoder_service.models.loader import LoadedModel
from decoder_service.servicer import DecoderServicer
from decoder_service.settings import DecoderSettings
from gateway.service import Gateway
from gateway.settings import GatewaySettings
from protos.conveyor.decoder.v1 import decoder_pb2_grpc
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.conveyor.gateway.v1 import gateway_pb2_grpc
from protos.conveyor.tool.v1 import tool_pb2_grpc
from protos.rpc.channel import open_channel
from protos.rpc.server import Server
from protos.rpc.telemetry import new_registry, serve_metrics
from protos.rpc.tls import NO_TLS, ServerTls
from protos.rpc.tracing import open_tracer
from tests.certificates import Authority
from tests.interpreters import fork_server
from tests.processes import children
from tool_service.execution.host import ToolHost, by_name
from tool_service.interface import Tool
from tool_service.metrics import ToolMetrics
from tool_service.servicer import ToolServicer
from tool_service.settings import ToolSettings
from tool_service.tools.calculator.tool import calculator
from tool_service.tools.plan.tool import plan
from tool_service.tools.python.interpreters import Interpreters
from tool_service.tools.python.tool import python_tool


@dataclass(slots=True)
class Stack:
    """The services, a client of the gateway, and where it speaks HTTP and gRPC, and the others' metrics, which `shown`
    serves; the decoder's own address."""

    client: "gateway_pb2_grpc.GatewayServiceAsyncStub"
    decoder: Decoder
    engine: Engine
    http: str
    grpc: str
    gateway: Gateway
    decoder_servicer: DecoderServicer
    decoder_address: str
    decoder_metrics: CollectorRegistry
    tool_metrics: CollectorRegistry

    async def complete(self, request: pb.CompleteRequest) -> "Answer":
        answer = Answer()
        call = self.client.Complete(request, timeout=60)
        try:
            async for response in call:
                answer.events.append(response)
        finally:
            call.cancel()  # whoever is cancelled before the first response would leave it running
        return answer


@dataclass(slots=True)
class Answer:
    """A completion's events, with the questions that tests ask of them."""

    events: list[pb.CompleteResponse] = field(default_factory=list)

    def of(self, kind: str) -> list[pb.CompleteResponse]:
        return [event for event in self.events if event.WhichOneof("event") == kind]

    def place(self, kind: str, number: int = 0) -> int:
        return self.events.index(self.of(kind)[number])

    @property
    def text(self) -> str:
        return "".join(event.text_delta.text for event in self.of("text_delta"))

    @property
    def calls(self) -> list[pb.CallFinished]:
        return [event.call_finished for event in self.of("call_finished")]

    @property
    def finished(self) -> pb.Finished:
        return self.of("finished")[0].finished


class SlowRunner:
    """Takes its time for each step."""

    def __init__(self, runner: ModelRunner, seconds: float) -> None:
        self.least_chunk, self.clear = runner.least_chunk, runner.clear
        self._runner, self._seconds = runner, seconds

    def run(self, pieces: Sequence[Piece]) -> torch.Tensor:
        time.sleep(self._seconds)
        return self._runner.run(pieces)


@contextlib.asynccontextmanager
async def running_stack(
    model: LoadedModel,
    tools: Iterable[Tool] = (),
    step_seconds: float = 0.0,
    way_to_decoder: Callable[[int], Awaitable[str]] | None = None,
    traces: str = "",
    authority: Authority | None = None,
    gateway_settings: Mapping[str, Any] = MappingProxyType({}),
    **decoder_settings: object,
) -> AsyncIterator[Stack]:
    """Starts the services and stops them again. `tools` are added to python, plan and calculator. `way_to_decoder` says
    by which address the gateway reaches the decoder's port.

    `step_seconds` are added to each step, for what must be done while a model decodes, however small it is. `traces`:
    where the spans of all three are sent. With an `authority` all of them speak TLS, and show one another certificates.
    """
    async with contextlib.AsyncExitStack() as stack:
        every = [python_tool(Interpreters(fork_server())), plan, calculator, *tools]
        tool_metrics = new_registry()
        served = tool_service(every, tool_metrics, traces, authority and authority.server("tools"))
        tools_port = await stack.enter_async_context(served)
        # A cache that holds what a test needs: stacks of earlier tests may not be collected yet, nor those next door.
        fields = {"prefill_chunk": 64, "kv_cache_gib": 0.25, **decoder_settings}
        settings = DecoderSettings(**fields)  # type: ignore[arg-type]
        peers = {} if authority is None else {name: authority.peer(name) for name in ("decoder", "gateway", "client")}
        channel = open_channel(f"127.0.0.1:{tools_port}", peers.get("decoder", NO_TLS))
        stack.push_async_callback(channel.close)
        hello = hello_of(settings, model)
        engine = engine_of(settings, model, hello.context, model.end_tokens)
        if step_seconds:
            engine._runner = SlowRunner(engine._runner, step_seconds)
        client = await ThreadEngine.start(engine, model.compiler, settings.max_running + settings.max_waiting)
        stack.push_async_callback(client.stop)
        tracer = open_tracer("decoder", DecoderSettings(traces_endpoint=traces))
        stack.push_async_callback(tracer.aclose, 5)
        decoder = assemble(client, hello, channel, tracer)
        stack.push_async_callback(decoder.feeds.aclose)
        decoder_metrics = new_registry()
        servicer = DecoderServicer(decoder, describe(settings, hello), DecoderMetrics(client, decoder_metrics))
        decoder_port = await stack.enter_async_context(
            serving(
                lambda server: decoder_pb2_grpc.add_DecoderServiceServicer_to_server(servicer, server),
                authority and authority.server("decoder"),
            )
        )
        decoder_address = f"127.0.0.1:{decoder_port}"
        if way_to_decoder is not None:
            decoder_address = await way_to_decoder(decoder_port)
        gateway = Gateway(
            GatewaySettings(
                address="127.0.0.1:0",
                http_address="127.0.0.1:0",
                decoder_address=decoder_address,
                tools_address=f"127.0.0.1:{tools_port}",
                traces_endpoint=traces,
                tls=ServerTls() if authority is None else authority.server("gateway"),
                peer_tls=peers.get("gateway", NO_TLS),
                **gateway_settings,
            )
        )
        await gateway.start()
        stack.push_async_callback(gateway.stop, 1)
        async with asyncio.timeout(10):
            while not gateway.readiness.ready:  # noqa: ASYNC110 - it tells its health service, not us
                await asyncio.sleep(0.005)
        address = f"127.0.0.1:{gateway.port}"
        to_gateway = grpc.aio.insecure_channel(address) if authority is None else open_channel(address, peers["client"])
        stack.push_async_callback(to_gateway.close)
        http = f"{'http' if authority is None else 'https'}://127.0.0.1:{gateway.http_port}"
        gateway_stub = gateway_pb2_grpc.GatewayServiceStub(to_gateway)
        yield Stack(
            client=gateway_stub,
            decoder=decoder,
            engine=engine,
            http=http,
            grpc=address,
            gateway=gateway,
            decoder_servicer=servicer,
            decoder_address=f"127.0.0.1:{decoder_port}",
            decoder_metrics=decoder_metrics,
            tool_metrics=tool_metrics,
        )


@contextlib.asynccontextmanager
async def tool_service(
    tools: Iterable[Tool],
    metrics: CollectorRegistry | None = None,
    traces: str = "",
    tls: ServerTls | None = None,
) -> AsyncIterator[int]:
    """A tool service on a free port."""
    host = ToolHost(by_name(tools))
    tracer = open_tracer("tools", ToolSettings(traces_endpoint=traces))
    servicer = ToolServicer(
        host, ToolSettings(max_call_seconds=900), ToolMetrics(metrics or CollectorRegistry()), tracer
    )
    async with serving(lambda server: tool_pb2_grpc.add_ToolServiceServicer_to_server(servicer, server), tls) as port:
        yield port
    await host.aclose()
    await tracer.aclose(5)


@contextlib.contextmanager
def shown(registry: CollectorRegistry) -> Iterator[str]:
    """Serves metrics on a free port, and says where."""
    server = serve_metrics("127.0.0.1:0", registry)
    assert server is not None
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.asynccontextmanager
async def serving(register: object, tls: ServerTls | None = None) -> AsyncIterator[int]:
    """A server on a free port."""
    server = Server("127.0.0.1:0", register, [], tls=tls)  # type: ignore[arg-type]
    await server.start()
    await server.ready()
    try:
        yield server.port
    finally:
        await server.stop(0)


def interpreters() -> set[int]:
    """The interpreters of the tool `python`: what its fork server has forked."""
    return children(fork_server().pid)
