"""Puts a loaded model, the engine and the text side together."""

import os

import grpc
import structlog
import torch

from decoder_service.completion import Decoder
from decoder_service.engine.engine import Engine
from decoder_service.engine.kv_cache import token_bytes
from decoder_service.engine.messages import TurnSpec
from decoder_service.engine.pages import PAGE_TOKENS, PageBudget
from decoder_service.engine.runner import ModelRunner, ModuleRunner
from decoder_service.engine.sampler import Sampling
from decoder_service.engine.scheduler import Scheduler
from decoder_service.engine.speculation import Speculation
from decoder_service.engine.thread import EngineThread
from decoder_service.forward.architecture import NotLeanError, architecture_of
from decoder_service.forward.kernels import open_kernels
from decoder_service.forward.runner import LeanRunner
from decoder_service.forward.weights import Precision, weights_of
from decoder_service.models.errors import UnsupportedModelError
from decoder_service.models.loader import LoadedModel
from decoder_service.settings import DecoderSettings
from decoder_service.text.template import ChatTemplate
from protos.conveyor.decoder.v1 import decoder_pb2
from protos.conveyor.tool.v1 import tool_pb2_grpc

WARM_UP = "Hello"

log = structlog.get_logger()


def assemble(settings: DecoderSettings, loaded: LoadedModel, tools: grpc.aio.Channel) -> Decoder:
    """Makes the decoder and starts its engine. Inside the running event loop. Raises UnsupportedModelError."""
    pages = pages_of(settings, loaded)
    context = min(settings.context_length or loaded.context, loaded.context, pages * PAGE_TOKENS)
    if context < PAGE_TOKENS:
        raise UnsupportedModelError(
            f"kv_cache_gib = {settings.kv_cache_gib} holds no page of {loaded.name}; give it more"
        )
    if settings.kv_cache_gib > memory_gib():  # it is taken as it is needed, and the lack would end us in mid-sentence
        raise UnsupportedModelError(
            f"kv_cache_gib = {settings.kv_cache_gib:g} is more than the {memory_gib():.1f} GiB of this machine"
        )
    thread = EngineThread(
        engine_of(settings, loaded, context, loaded.end_tokens), settings.max_running + settings.max_waiting
    )
    thread.start()
    return Decoder(
        engine=thread,
        template=ChatTemplate(loaded.tokenizer),
        grammars=loaded.grammars,
        tools=tool_pb2_grpc.ToolServiceStub(tools),
        context=context,
    )


def engine_of(settings: DecoderSettings, loaded: LoadedModel, context: int, end_tokens: frozenset[int]) -> Engine:
    """The engine for sequences of `context` tokens at most, whose turns end with one of `end_tokens`."""
    pages = pages_of(settings, loaded)
    return Engine(
        runner_of(settings, loaded, pages, context),
        Scheduler(PageBudget(pages), settings.max_running, settings.prefill_chunk),
        loaded.backend_tokenizer,
        end_tokens,
        context,
        Speculation() if settings.speculation == "auto" else None,
    )


def pages_of(settings: DecoderSettings, loaded: LoadedModel) -> int:
    """Pages that the memory for keys and values holds."""
    return int(settings.kv_cache_gib * 2**30 / (PAGE_TOKENS * token_bytes(loaded.model.config, loaded.model.dtype)))


def memory_gib() -> float:
    """Memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def runner_of(settings: DecoderSettings, loaded: LoadedModel, pages: int, context: int) -> ModelRunner:
    """The fastest way to run this model here."""
    model = loaded.model
    try:
        architecture = architecture_of(model.config)
        kernels = open_kernels(architecture, model.dtype)
    except NotLeanError as reason:
        log.warning("transformers' modules run the model, which is slower", model=loaded.name, reason=str(reason))
        return ModuleRunner(model, pages)
    precision = Precision(model.dtype, bits_of(settings, loaded))
    weights = weights_of(model, architecture, precision, loaded.blocks, kernels, context)
    return LeanRunner(architecture, weights, kernels, pages, settings.max_running + settings.prefill_chunk)


def bits_of(settings: DecoderSettings, loaded: LoadedModel) -> int | None:
    """Bits of a weight; None: those of the model's dtype.

    Few bits pay with bfloat16 only: in float32 one wants every token as transformers would have it.
    """
    if settings.quantization == "auto":
        in_four = loaded.blocks is not None and loaded.blocks.is_known and loaded.model.dtype == torch.bfloat16
        return 4 if in_four else None
    if settings.quantization != "none" and loaded.model.dtype != torch.bfloat16:
        raise UnsupportedModelError(f"quantization = {settings.quantization} needs dtype = bfloat16")
    return {"none": None, "int8": 8, "int4": 4}[settings.quantization]


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
