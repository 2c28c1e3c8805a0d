"""Puts a loaded model, the engine and the text side together."""

import grpc

from decoder_service.completion import Decoder
from decoder_service.engine.engine import Engine
from decoder_service.engine.kv_cache import token_bytes
from decoder_service.engine.messages import TurnSpec
from decoder_service.engine.pages import PAGE_TOKENS, PageBudget
from decoder_service.engine.runner import ModelRunner
from decoder_service.engine.sampler import Sampling
from decoder_service.engine.scheduler import Scheduler
from decoder_service.engine.thread import EngineThread
from decoder_service.models.errors import UnsupportedModelError
from decoder_service.models.loader import LoadedModel
from decoder_service.settings import DecoderSettings
from decoder_service.text.template import ChatTemplate
from protos.conveyor.decoder.v1 import decoder_pb2
from protos.conveyor.tool.v1 import tool_pb2_grpc

WARM_UP = "Hello"


def assemble(settings: DecoderSettings, loaded: LoadedModel, tools: grpc.aio.Channel) -> Decoder:
    """Makes the decoder and starts its engine. Inside the running event loop. Raises UnsupportedModelError."""
    pages = int(settings.kv_cache_gib * 2**30 / (PAGE_TOKENS * token_bytes(loaded.model.config, loaded.model.dtype)))
    context = min(settings.context_length or loaded.context, loaded.context, pages * PAGE_TOKENS)
    if context < PAGE_TOKENS:
        raise UnsupportedModelError(
            f"kv_cache_gib = {settings.kv_cache_gib} holds no page of {loaded.name}; give it more"
        )
    scheduler = Scheduler(PageBudget(pages), settings.max_running, settings.prefill_chunk)
    engine = Engine(ModelRunner(loaded.model, pages), scheduler, loaded.backend_tokenizer, loaded.end_tokens, context)
    thread = EngineThread(engine, settings.max_running + settings.max_waiting)
    thread.start()
    return Decoder(
        engine=thread,
        template=ChatTemplate(loaded.tokenizer),
        grammars=loaded.grammars,
        tools=tool_pb2_grpc.ToolServiceStub(tools),
        context=context,
    )


def describe(settings: DecoderSettings, loaded: LoadedModel, decoder: Decoder) -> decoder_pb2.GetModelResponse:
    """What `GetModel` answers."""
    return decoder_pb2.GetModelResponse(
        name=loaded.name,
        context_length=decoder.context,
        dtype=str(loaded.model.dtype).removeprefix("torch."),
        max_running=settings.max_running,
    )


async def warm_up(decoder: Decoder) -> None:
    """Decodes two tokens, so that ready means that the engine has answered. Raises SequenceFailedError."""
    handle = decoder.engine.begin(decoder.template.encode(WARM_UP), Sampling(), TurnSpec(max_tokens=2))
    try:
        async for _ in handle.turn():
            pass
    finally:
        decoder.engine.release(handle)
