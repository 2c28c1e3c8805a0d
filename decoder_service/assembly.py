"""Puts a running engine and the text side together."""

import grpc

from decoder_service.completion import Decoder
from decoder_service.engine.client import EngineClient
from decoder_service.engine.hello import Hello
from decoder_service.engine.messages import Sampling, TurnSpec
from decoder_service.settings import DecoderSettings
from decoder_service.text.template import ChatTemplate
from decoder_service.tool_feed import ToolFeeds
from protos.conveyor.decoder.v1 import decoder_pb2
from protos.conveyor.tool.v1 import tool_pb2_grpc
from protos.rpc.tracing import OFF, Tracer

WARM_UP = "Hello"


def assemble(engine: EngineClient, hello: Hello, tools: grpc.aio.Channel, tracer: Tracer = OFF) -> Decoder:
    """The decoder, over an engine that has said hello. Whoever makes it closes its feeds."""
    stub = tool_pb2_grpc.ToolServiceStub(tools)
    return Decoder(engine, ChatTemplate(hello.text), stub, ToolFeeds(stub), hello.context, hello.name, tracer)


def describe(settings: DecoderSettings, hello: Hello) -> decoder_pb2.GetModelResponse:
    """What `GetModel` answers."""
    return decoder_pb2.GetModelResponse(
        name=hello.name, context_length=hello.context, dtype=hello.dtype, max_running=settings.max_running
    )


async def warm_up(decoder: Decoder) -> None:
    """Decodes two tokens, so that ready means that the engine has answered. Raises SequenceFailedError."""
    handle = decoder.engine.begin(decoder.template.encode(WARM_UP), Sampling(), TurnSpec(max_tokens=2))
    try:
        async for _ in handle.turn():
            pass
    finally:
        decoder.engine.release(handle)
