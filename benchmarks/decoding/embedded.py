"""The engine as `decoder_service.engine.building` makes it, for benchmarks that step it themselves.

Nothing imports torch before this module does: `decoder_service` tells torch's threads how long to spin, and they listen
only when torch is loaded.
"""

from dataclasses import dataclass

import decoder_service  # isort: skip  # noqa: F401  # before torch
import torch
from tokenizers import Tokenizer

from decoder_service.engine.building import bits_of, engine_of
from decoder_service.engine.engine import Engine
from decoder_service.models.loader import load
from decoder_service.settings import DecoderSettings
from decoder_service.text.grammar import GrammarCompiler

CONTEXT = 2048  # most tokens of a sequence


@dataclass(frozen=True, slots=True)
class Embedded:
    """An engine whose turns end at their length only, or with their grammar. `weights`: what they are kept as."""

    engine: Engine
    tokenizer: Tokenizer
    weights: str
    compiler: GrammarCompiler


def embedded_engine(
    model: str, dtype: str, quantization: str, threads: int, sequences: int, speculation: str = "off"
) -> Embedded:
    """Loads a model with the decoder's default settings, for a batch of so many sequences.

    Without speculation unless that is what is measured: a small model soon repeats itself after a random prompt, and to
    guess that right would say nothing of how fast it decodes.
    """
    given = {"dtype": dtype, "quantization": quantization, "threads": threads, "max_running": sequences}
    given["speculation"] = speculation
    settings = DecoderSettings.model_validate({"model": model} | given)
    torch.set_num_threads(settings.threads)
    loaded = load(settings.model, settings.dtype)
    # No token ends a turn.
    engine = engine_of(settings, loaded, min(CONTEXT, loaded.context), end_tokens=frozenset())
    bits = bits_of(settings, loaded)
    weights = f"{bits} bits" if bits else str(loaded.model.dtype).removeprefix("torch.")
    return Embedded(engine, loaded.text.tokenizer, weights, loaded.compiler)
