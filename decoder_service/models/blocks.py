"""A GGUF file's quantised weights as they are: integer codes with a scale and a minimum for each group of columns.

    weight[r, c] = scale[r, c // group] * codes[r, c] + minimum[r, c // group]

in float32, and equal to what gguf's own dequantiser and transformers give. So a kernel that multiplies integers loses
nothing on the way from the file. Names and rows are those of transformers' modules: the llama family's q and k
projections are stored with each head's rows interleaved for llama.cpp's rotary embedding, and are put back in order.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

from decoder_service.models.gguf_file import GgufFile

# Architectures whose tensors are known here, and whether their q and k rows are interleaved
# (transformers/modeling_gguf_pytorch_utils.py: TENSOR_PROCESSORS).
ARCHITECTURES = {"llama": True, "qwen2": False}

_LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_OTHER_NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_HEADS = {"attn_q": "head_count", "attn_k": "head_count_kv"}


@dataclass(frozen=True, slots=True, eq=False)
class QuantizedBlocks:
    """One matrix.

    `kind`: ggml's name, such as "Q4_K". `codes` [rows, columns]: uint8 from 0 where there is a minimum (below 16 where
    `bits` is 4), int8 around 0 where there is none. `scale`, `minimum`: float32 [rows, columns / group].
    """

    kind: str
    bits: int
    group: int
    codes: np.ndarray
    scale: np.ndarray
    minimum: np.ndarray | None

    def dequantized(self) -> np.ndarray:
        """The weights, float32 [rows, columns]."""
        rows, columns = self.codes.shape
        weights: np.ndarray = self.codes.reshape(rows, -1, self.group) * self.scale[..., None]
        if self.minimum is not None:
            weights += self.minimum[..., None]
        return weights.reshape(rows, columns)


class GgufBlocks:
    """The weights of one GGUF file under transformers' names, such as "model.layers.0.mlp.up_proj.weight"."""

    def __init__(self, file: GgufFile) -> None:
        self.file = file

    @property
    def is_known(self) -> bool:
        """Whether the names and rows of this architecture are known here."""
        return self.file.architecture in ARCHITECTURES

    def linear(self, name: str) -> QuantizedBlocks | None:
        """A matrix's blocks. The head of a model that shares it with its embedding is the embedding.

        None where it is kept in float, or in a kind that has no such blocks, or in an architecture that is not known
        here. Raises KeyError where the file has no such tensor.
        """
        if not self.is_known:
            return None
        tensor = self.file.tensors[self._tensor_name(name)]
        kind = _KINDS.get(tensor.kind)
        return kind.read(tensor.kind, self._rows(tensor.name)) if kind is not None else None

    def floats(self, name: str) -> np.ndarray:
        """Any weight, bias or norm, float32 in its shape. Raises KeyError where the file has no such tensor."""
        tensor = self.file.tensors[self._tensor_name(name)]
        weights: np.ndarray = dequantize(self._rows(tensor.name), GGMLQuantizationType[tensor.kind])
        return weights.reshape(tensor.shape)

    def _tensor_name(self, name: str) -> str:
        found = _gguf_name(name)  # empty where there is none
        if found == "output.weight" and found not in self.file.tensors:
            found = "token_embd.weight"
        if found not in self.file.tensors:
            raise KeyError(f"{self.file.path} has no tensor for {name}")
        return found

    def _rows(self, name: str) -> np.ndarray:
        rows = self.file.rows(name)
        heads = _HEADS.get(name.split(".")[-2])
        if heads is None or not ARCHITECTURES.get(self.file.architecture):
            return rows
        return rows[_in_order(len(rows), int(self.file.metadata[f"{self.file.architecture}.attention.{heads}"]))]


def open_blocks(path: Path) -> GgufBlocks:
    """Maps the file. Raises DamagedModelError where it is no whole GGUF file, OSError where it cannot be read."""
    return GgufBlocks(GgufFile(path))


def _gguf_name(name: str) -> str:
    """ggml's name for one of transformers'; empty where there is none."""
    if name in _OTHER_NAMES:
        return _OTHER_NAMES[name]
    prefix, _, rest = name.removeprefix("model.layers.").partition(".")
    module, _, parameter = rest.rpartition(".")
    return f"blk.{prefix}.{_LAYER_NAMES[module]}.{parameter}" if module in _LAYER_NAMES else ""


def _in_order(row_count: int, head_count: int) -> np.ndarray:
    """The stored row of each row: in a head, stored row 2i + s is row i of half s."""
    stored: np.ndarray = np.arange(row_count).reshape(head_count, -1, 2).swapaxes(1, 2).reshape(-1)
    return stored


Parts = tuple[np.ndarray, np.ndarray, np.ndarray | None]


@dataclass(frozen=True, slots=True)
class _Kind:
    """An encoding. `unpack`: blocks, uint8 [count, bytes], to codes [count, weights] and, for each group, scale and
    minimum, float32 [count, groups]."""

    bits: int
    group: int
    unpack: Callable[[np.ndarray], Parts]

    def read(self, kind: str, rows: np.ndarray) -> QuantizedBlocks:
        size = GGML_QUANT_SIZES[GGMLQuantizationType[kind]][1]
        codes, scale, minimum = self.unpack(rows.reshape(-1, size))
        shape = (len(rows), -1)
        return QuantizedBlocks(
            kind=kind,
            bits=self.bits,
            group=self.group,
            codes=codes.reshape(shape),
            scale=scale.reshape(shape),
            minimum=minimum.reshape(shape) if minimum is not None else None,
        )


def _float16(column: np.ndarray) -> np.ndarray:
    """Two bytes of each block as float32 [count, 1]."""
    return np.ascontiguousarray(column).view(np.float16).astype(np.float32)


def _nibbles(packed: np.ndarray, width: int) -> np.ndarray:
    """The low halves of `width` bytes, then their high halves, then the next bytes: uint8 [count, 2 * bytes]."""
    count, size = packed.shape
    runs = packed.reshape(count, size // width, width)
    codes = np.empty((count, size // width, 2, width), np.uint8)
    np.bitwise_and(runs, 15, out=codes[:, :, 0])
    np.right_shift(runs, 4, out=codes[:, :, 1])
    return codes.reshape(count, -1)


def _q4_0(blocks: np.ndarray) -> Parts:
    scale = _float16(blocks[:, :2])
    return _nibbles(blocks[:, 2:], 16), scale, scale * np.float32(-8)


def _q4_1(blocks: np.ndarray) -> Parts:
    return _nibbles(blocks[:, 4:], 16), _float16(blocks[:, :2]), _float16(blocks[:, 2:4])


def _q8_0(blocks: np.ndarray) -> Parts:
    return np.ascontiguousarray(blocks[:, 2:]).view(np.int8), _float16(blocks[:, :2]), None


def _q4_k(blocks: np.ndarray) -> Parts:
    return _nibbles(blocks[:, 16:], 32), *_k_scales(blocks)


def _q5_k(blocks: np.ndarray) -> Parts:
    codes = _nibbles(blocks[:, 48:], 32)
    fifths = (blocks[:, None, 16:48] >> np.arange(8, dtype=np.uint8)[:, None]) & 1
    codes |= fifths.reshape(codes.shape) << 4
    return codes, *_k_scales(blocks)


def _k_scales(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale and minimum of the 8 groups: 6 bits each, packed into bytes 4 to 15 as gguf/quants.py draws them."""
    first, second, third = blocks[:, 4:8], blocks[:, 8:12], blocks[:, 12:16]
    scales = np.concatenate([first & 63, (third & 15) | ((first >> 2) & 48)], axis=1)
    minimums = np.concatenate([second & 63, (third >> 4) | ((second >> 2) & 48)], axis=1)
    return _float16(blocks[:, :2]) * scales, -(_float16(blocks[:, 2:4]) * minimums)


def _q6_k(blocks: np.ndarray) -> Parts:
    codes = _nibbles(blocks[:, :128], 64)
    highs = (blocks[:, 128:192].reshape(-1, 2, 1, 32) >> np.arange(0, 8, 2, dtype=np.uint8)[:, None]) & 3
    codes |= highs.reshape(codes.shape) << 4
    scale = _float16(blocks[:, 208:]) * np.ascontiguousarray(blocks[:, 192:208]).view(np.int8)
    return codes.view(np.int8) - np.int8(32), scale, None


_KINDS = {
    "Q4_0": _Kind(4, 32, _q4_0),
    "Q4_1": _Kind(4, 32, _q4_1),
    "Q4_K": _Kind(4, 32, _q4_k),
    "Q5_K": _Kind(5, 32, _q5_k),
    "Q6_K": _Kind(6, 16, _q6_k),
    "Q8_0": _Kind(8, 32, _q8_0),
}
