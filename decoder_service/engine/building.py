"""Makes the engine of a model, in the fastest way that this machine has."""

import contextlib
import os
import re
from pathlib import Path

import structlog
import torch

from decoder_service.engine.engine import Engine
from decoder_service.engine.hello import Hello
from decoder_service.engine.kv_cache import token_bytes
from decoder_service.engine.pages import PAGE_TOKENS, PageBudget
from decoder_service.engine.runner import ModelRunner, ModuleRunner
from decoder_service.engine.scheduler import Scheduler
from decoder_service.engine.speculation import Speculation
from decoder_service.forward.architecture import NotLeanError, architecture_of
from decoder_service.forward.kernels import open_kernels
from decoder_service.forward.runner import LeanRunner
from decoder_service.forward.weights import Precision, weights_of
from decoder_service.models.errors import UnsupportedModelError
from decoder_service.models.loader import LoadedModel, load
from decoder_service.settings import DecoderSettings
from decoder_service.text.grammar import GrammarCompiler

CONTAINER_LIMITS = [  # of control groups, in their second version and their first
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
]

log = structlog.get_logger()


def load_engine(settings: DecoderSettings) -> tuple[Engine, GrammarCompiler, Hello]:
    """Loads a model, and makes all that its engine needs.

    Raises ModelNotFoundError where there is none, UnsupportedModelError where it cannot be served.
    """
    torch.set_num_threads(settings.threads or max(1, len(os.sched_getaffinity(0)) - 1))
    loaded = load(settings.model, settings.dtype)
    hello = hello_of(settings, loaded)
    return engine_of(settings, loaded, hello.context, loaded.end_tokens), loaded.compiler, hello


def hello_of(settings: DecoderSettings, loaded: LoadedModel) -> Hello:
    """What is to be known of the engine of a model. Raises UnsupportedModelError where there can be none."""
    pages = pages_of(settings, loaded)
    context = min(settings.context_length or loaded.context, loaded.context, pages * PAGE_TOKENS)
    if context < PAGE_TOKENS:
        raise UnsupportedModelError(
            f"kv_cache_gib = {settings.kv_cache_gib} holds no page of {loaded.name}; give it more"
        )
    left = memory_gib()
    if settings.kv_cache_gib > left:  # the system would end us without a word
        raise UnsupportedModelError(
            f"kv_cache_gib = {settings.kv_cache_gib:g} is more than the {left:.1f} GiB that are left"
        )
    return Hello(loaded.name, context, str(loaded.model.dtype).removeprefix("torch."), loaded.text)


def engine_of(settings: DecoderSettings, loaded: LoadedModel, context: int, end_tokens: frozenset[int]) -> Engine:
    """The engine for sequences of `context` tokens at most, whose turns end with one of `end_tokens`."""
    pages = pages_of(settings, loaded)
    runner = runner_of(settings, loaded, pages, context)
    return Engine(
        runner,
        Scheduler(PageBudget(pages), settings.max_running, settings.prefill_chunk, runner.least_chunk),
        loaded.text.tokenizer,
        end_tokens,
        context,
        Speculation() if settings.speculation == "auto" else None,
    )


def pages_of(settings: DecoderSettings, loaded: LoadedModel) -> int:
    """Pages that the memory for keys and values holds."""
    return int(settings.kv_cache_gib * 2**30 / (PAGE_TOKENS * token_bytes(loaded.model.config, loaded.model.dtype)))


def memory_gib() -> float:
    """Memory that is left on this machine, or the limit of its container if that is less."""
    bounds = [_available()]
    for path in CONTAINER_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # "max": there is none
            bounds.append(int(path.read_text()))
    return min(bounds) / 2**30


def _available() -> int:
    """Bytes that a process can get without others being moved out; all that there are where it is not known."""
    with contextlib.suppress(OSError):
        found = re.search(r"^MemAvailable: +(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
        if found is not None:
            return int(found[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


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
