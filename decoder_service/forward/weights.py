"""A model's weights as the lean forward pass reads them: projections that share an input fused, packed, in few bits.

They come from transformers' modules, which have read the checkpoint; 4-bit codes come from the blocks of the GGUF file
that the checkpoint was made of, where there is one, so that nothing is rounded twice.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel

from decoder_service.engine.memory import Arena
from decoder_service.forward.architecture import Architecture
from decoder_service.forward.groups import GROUP, MANY_BITS, GroupCodes, from_blocks, joined, nearest
from decoder_service.forward.kernels import Kernels
from decoder_service.forward.linear import ByRows, DenseLinear, GroupedLinear, Linear, settle
from decoder_service.models.blocks import GgufBlocks

PROJECTIONS = {
    "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "output": ("self_attn.o_proj",),
    "gate_up": ("mlp.gate_proj", "mlp.up_proj"),
    "down": ("mlp.down_proj",),
}


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer. Norms are float32 `[hidden]`."""

    attention_norm: torch.Tensor
    qkv: Linear
    output: Linear
    mlp_norm: torch.Tensor
    gate_up: Linear
    down: Linear


@dataclass(frozen=True, slots=True)
class Weights:
    """A whole model. `embedding` is `[vocabulary, hidden]`; `cosines` and `sines` are float32 `[context, dim / 2]`."""

    embedding: torch.Tensor
    layers: tuple[Layer, ...]
    norm: torch.Tensor
    head: Linear
    cosines: torch.Tensor
    sines: torch.Tensor


@dataclass(frozen=True, slots=True)
class Precision:
    """How weights are kept. `bits` 4 or 8: so many for steps of few rows, besides `dtype` for those of many."""

    dtype: torch.dtype
    bits: int | None = None


@torch.inference_mode()
def weights_of(
    model: PreTrainedModel,
    architecture: Architecture,
    precision: Precision,
    blocks: GgufBlocks | None,
    kernels: Kernels,
    context: int,
) -> Weights:
    """Packs a model's weights; the model keeps its own. `context`: positions that are to be had."""
    body: Any = model.model
    packer = _Packer(precision, blocks, kernels)
    embedding = body.embed_tokens.weight.to(precision.dtype)
    head = packer.packed("head", ["lm_head.weight"], [model.get_output_embeddings().weight], None)
    layers = tuple(_layer(layer, f"model.layers.{index}.", packer) for index, layer in enumerate(body.layers))
    packer.settle()
    cosines, sines = _angles(body.rotary_emb, architecture.head_dim // 2, context)
    return Weights(embedding, layers, body.norm.weight.float(), head, cosines, sines)


class _Packer:
    """Packs products in one precision. Those in few bits are settled at the end."""

    def __init__(self, precision: Precision, blocks: GgufBlocks | None, kernels: Kernels) -> None:
        self._precision = precision
        self._blocks = blocks
        self._kernels = kernels
        self._arena = Arena()
        self._unsettled: dict[tuple[int, int], list[tuple[ByRows, Callable[[], Linear]]]] = {}

    def packed(self, kind: str, names: list[str], weights: list[torch.Tensor], bias: torch.Tensor | None) -> Linear:
        """One product for weights that share an input."""
        outputs, inputs = sum(len(weight) for weight in weights), weights[0].shape[1]

        def dense() -> Linear:
            return DenseLinear(torch.cat(weights).to(self._precision.dtype), bias)

        if self._precision.bits is None or inputs % GROUP:
            return dense()
        bits = MANY_BITS if kind == "head" else self._precision.bits
        codes = joined([self._codes(name, weight, bits) for name, weight in zip(names, weights, strict=True)])
        out = torch.float32 if kind == "head" else None  # whole, for the likeliest may differ by little
        found = ByRows(GroupedLinear(self._kernels, self._arena, codes, bias, out))
        self._unsettled.setdefault((inputs, outputs), []).append((found, dense))
        return found

    def settle(self) -> None:
        """Measures, for each shape of product, up to how many rows the small one is faster."""
        for (inputs, outputs), pairs in self._unsettled.items():
            settle([product for product, _ in pairs], [dense for _, dense in pairs], inputs, outputs)

    def _codes(self, name: str, weight: torch.Tensor, bits: int) -> GroupCodes:
        """Those of the file; in 8 bits where the file has others; made here where there is no file."""
        if self._blocks is None:
            return nearest(weight, bits)
        blocks = self._blocks.linear(name)
        return (from_blocks(blocks) if blocks is not None else None) or nearest(weight, MANY_BITS)


def _layer(layer: Any, prefix: str, packer: _Packer) -> Layer:
    products = {}
    for kind, names in PROJECTIONS.items():
        modules = [layer.get_submodule(name) for name in names]
        biases = [module.bias for module in modules]
        bias = None if biases[0] is None else torch.cat([each.detach() for each in biases])
        weights = [module.weight for module in modules]
        products[kind] = packer.packed(kind, [f"{prefix}{name}.weight" for name in names], weights, bias)
    return Layer(
        attention_norm=layer.input_layernorm.weight.float(),
        mlp_norm=layer.post_attention_layernorm.weight.float(),
        **products,
    )


def _angles(rotary: Any, half: int, context: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines of all positions, as the model's own module makes them."""
    cosines, sines = rotary(torch.zeros(1, dtype=torch.float32), torch.arange(context)[None])
    return cosines[0, :, :half].float().contiguous(), sines[0, :, :half].float().contiguous()
