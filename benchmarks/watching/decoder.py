"""The real gateway over a decoder that says what it was told, and a tool service that is only asked for its tools."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from typing import Any

import grpc
from prometheus_client import CollectorRegistry

from benchmarks.watching.script import Event
from gateway.service import Gateway
from gateway.settings import GatewaySettings
from gateway.wire import seconds
from protos.conveyor.decoder.v1 import decoder_pb2, decoder_pb2_grpc
from protos.conveyor.tool.v1 import tool_pb2_grpc
from protos.rpc.handler import streaming
from protos.rpc.server import Server
from tool_service.execution.host import ToolHost, by_name
from tool_service.metrics import ToolMetrics
from tool_service.servicer import ToolServicer
from tool_service.settings import ToolSettings
from tool_service.tools.calculator.tool import calculator
from tool_service.tools.plan.tool import plan

Scripts = Callable[[decoder_pb2.Start], Iterable[Event | asyncio.Semaphore]]
Commands = AsyncIterator[decoder_pb2.GenerateRequest]


class ScriptedDecoder(decoder_pb2_grpc.DecoderServiceServicer):
    """Says what `scripts` makes of a request, each event at its time; waits where a person's word is awaited, and at a
    semaphore until it lets one by. A `ServiceError` of `scripts` is its refusal."""

    def __init__(self, scripts: Scripts) -> None:
        self.decided: list[decoder_pb2.Decide] = []
        self._scripts = scripts

    @streaming
    async def Generate(self, commands: Commands) -> AsyncGenerator[Event, None]:
        """A completion."""
        start = (await anext(commands)).start
        begun = time.monotonic()
        for event in self._scripts(start):
            if isinstance(event, asyncio.Semaphore):
                held = time.monotonic()
                await event.acquire()
                begun += time.monotonic() - held
                continue
            if (early := begun + seconds(event.at) - time.monotonic()) > 0:
                await asyncio.sleep(early)
            yield event
            if event.WhichOneof("event") == "approval_awaited":
                self.decided.append((await anext(commands)).decide)

    async def Listen(
        self, request: decoder_pb2.ListenRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> AsyncIterator[decoder_pb2.ListenResponse]:
        """Not here: all goes by a completion's own stream."""
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "nobody is listened to")
        yield decoder_pb2.ListenResponse()

    async def GetModel(self, request: decoder_pb2.GetModelRequest, context: object) -> decoder_pb2.GetModelResponse:
        """Which model this is."""
        return decoder_pb2.GetModelResponse(name="scripted")


@contextlib.asynccontextmanager
async def scripted_gateway(decoder: ScriptedDecoder, keys_file: str = "") -> AsyncIterator[Gateway]:
    """A gateway over `decoder`, on free ports, for those who have a key of `keys_file` where there is one."""
    async with contextlib.AsyncExitStack() as stack:
        decoder_port = await stack.enter_async_context(
            _serving(lambda server: decoder_pb2_grpc.add_DecoderServiceServicer_to_server(decoder, server))
        )
        host = ToolHost(by_name((calculator, plan)))
        stack.push_async_callback(host.aclose)
        tools = ToolServicer(host, ToolSettings(), ToolMetrics(CollectorRegistry()))
        tools_port = await stack.enter_async_context(
            _serving(lambda server: tool_pb2_grpc.add_ToolServiceServicer_to_server(tools, server))
        )
        settings = GatewaySettings(
            address="127.0.0.1:0",
            http_address="127.0.0.1:0",
            decoder_address=f"127.0.0.1:{decoder_port}",
            tools_address=f"127.0.0.1:{tools_port}",
            keys_file=keys_file,
        )
        gateway = Gateway(settings)
        await gateway.start()
        stack.push_async_callback(gateway.stop, 0)
        yield gateway


@contextlib.asynccontextmanager
async def _serving(register: Callable[[grpc.aio.Server], None]) -> AsyncIterator[int]:
    server = Server("127.0.0.1:0", register, ())
    await server.start()
    await server.ready()
    try:
        yield server.port
    finally:
        await server.stop(0)
