"""Loads a model and all that belongs to it."""

from dataclasses import dataclass

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from decoder_service.models.blocks import GgufBlocks, open_blocks
from decoder_service.models.errors import ModelNotFoundError, UnsupportedModelError
from decoder_service.models.store import gguf_of, locate
from decoder_service.text.grammar import GrammarCompiler
from decoder_service.text.model_text import ModelText


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model ready to run. `context`: most tokens that it was trained for. `end_tokens` end a turn."""

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    end_tokens: frozenset[int]
    context: int
    text: ModelText
    compiler: GrammarCompiler
    blocks: GgufBlocks | None = None  # of the file that it was made of, where that holds some


def load(name: str, dtype: str) -> LoadedModel:
    """Loads a catalogue name, a directory or a hub name. `dtype` is "auto", "float32" or "bfloat16".

    Raises ModelNotFoundError where there is none, UnsupportedModelError where it cannot be served.
    """
    logging.disable_progress_bar()
    where = locate(name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(where)
        model = AutoModelForCausalLM.from_pretrained(where, dtype=_dtype(dtype))
    except OSError as error:
        raise ModelNotFoundError(f"{name}: {str(error).splitlines()[0]}") from error
    except ValueError as error:
        raise UnsupportedModelError(f"{name}: {str(error).splitlines()[0]}") from error
    end_tokens = _end_tokens(model, tokenizer)
    _refuse_unsupported(name, model, tokenizer, end_tokens)
    text = _text(tokenizer)
    return LoadedModel(
        name=name,
        model=model.eval(),
        tokenizer=tokenizer,
        end_tokens=end_tokens,
        context=model.config.max_position_embeddings,
        text=text,
        compiler=GrammarCompiler(text.tokenizer, end_tokens),
        blocks=_blocks(name),
    )


def _text(tokenizer: PreTrainedTokenizerBase) -> ModelText:
    added = (token.content for token in tokenizer.added_tokens_decoder.values() if token.special)
    control = {*map(str, tokenizer.all_special_tokens), *added}
    return ModelText(
        tokenizer=tokenizer.backend_tokenizer,
        template=str(tokenizer.chat_template or ""),
        named_tokens={name: str(token) for name, token in tokenizer.special_tokens_map.items()},
        control_tokens=tuple(sorted(control, key=len, reverse=True)),
    )


def _blocks(name: str) -> GgufBlocks | None:
    gguf = gguf_of(name)
    return open_blocks(gguf) if gguf is not None else None


def _dtype(name: str) -> torch.dtype:
    """bfloat16 halves what a step reads, and pays only where the processor multiplies it in hardware."""
    if name == "auto":
        name = "bfloat16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "float32"
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]


def _refuse_unsupported(
    name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, end_tokens: frozenset[int]
) -> None:
    if not end_tokens:
        raise UnsupportedModelError(f"{name}: neither the model nor its tokenizer names a token that ends a turn")
    if not hasattr(tokenizer, "backend_tokenizer"):
        raise UnsupportedModelError(f"{name}: its tokenizer has no fast implementation")
    kinds = set(getattr(model.config, "layer_types", None) or ["full_attention"])
    if kinds != {"full_attention"}:
        raise UnsupportedModelError(
            f"{name}: layers of type {', '.join(sorted(kinds - {'full_attention'}))} are not supported"
        )


def _end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    declared = model.generation_config.eos_token_id if model.generation_config else None
    tokens = declared if isinstance(declared, list) else [declared]
    return frozenset(token for token in (*tokens, tokenizer.eos_token_id) if token is not None)
