"""Makes of a GGUF file the folder that transformers reads: configuration, tokenizer, and weights as safetensors.

transformers would de-quantise the file on every load, in minutes and twice the memory; this is done once, one tensor at
a time, so it takes no more memory than the largest tensor a few times over.

A small model's weights are stored as float32, exactly. Of a large one float32 would be 6 times the file; it is stored
as float16, not bfloat16: a 4-bit weight is a product of a 6-bit, a 4-bit and a float16 number, less another, and of the
21 bits that this takes float16 keeps 11 and bfloat16 8. For Qwen2.5-Coder-1.5B the error is 0.02 % of a weight's size
against 0.17 %; its largest weight is 354, far from float16's end. Norms and biases are float32 in any case. Exact
weights in float32 are to be had from `blocks.py`, and the 4-bit kernels take theirs from there.
"""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedConfig
from transformers.utils import logging

from decoder_service.models.blocks import GgufBlocks, open_blocks
from decoder_service.models.errors import UnsupportedModelError

_DTYPES = {torch.float32: "F32", torch.float16: "F16"}
_HEADER_ALIGNMENT = 8


def convert(
    gguf: Path, folder: Path, weights: torch.dtype, say: Callable[[str], None], advance: Callable[[int], object]
) -> None:
    """Writes all files into `folder`, which is made. `say` is told what happens, `advance` the weights' bytes written.

    Raises DamagedModelError for a file that is no GGUF, UnsupportedModelError for an architecture without known names.
    """
    logging.disable_progress_bar()
    folder.mkdir()
    blocks = open_blocks(gguf)
    if not blocks.is_known:
        raise UnsupportedModelError(f"{gguf}: models of architecture {blocks.file.architecture!r} cannot be converted")
    say("reading the tokenizer")
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)
    say("reading the configuration")
    config = AutoConfig.from_pretrained(gguf.parent, gguf_file=gguf.name)
    shapes = _shapes(config)
    config.dtype = weights
    config.save_pretrained(folder)
    GenerationConfig.from_model_config(config).save_pretrained(folder)
    say("writing the weights")
    _write_weights(folder / "model.safetensors", blocks, shapes, weights, advance)


def _shapes(config: PreTrainedConfig) -> dict[str, torch.Size]:
    """The model's weights under their names, without those that are another's; also notes its class in `config`."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    config.architectures = [type(model).__name__]
    shapes = {name: weight.shape for name, weight in model.state_dict().items()}
    if config.tie_word_embeddings:
        del shapes["lm_head.weight"]
    return shapes


def _write_weights(
    path: Path,
    blocks: GgufBlocks,
    shapes: dict[str, torch.Size],
    weights: torch.dtype,
    advance: Callable[[int], object],
) -> None:
    """A safetensors file: length of the header, the header as JSON, the data (huggingface.co/docs/safetensors)."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        dtype = _stored(shape, weights)
        begin, end = end, end + shape.numel() * dtype.itemsize
        header[name] = {"dtype": _DTYPES[dtype], "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % _HEADER_ALIGNMENT)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in shapes.items():
            tensor = torch.from_numpy(blocks.floats(name)).reshape(shape).to(_stored(shape, weights))
            advance(file.write(tensor.numpy().data))


def _stored(shape: torch.Size, weights: torch.dtype) -> torch.dtype:
    return weights if len(shape) > 1 else torch.float32
