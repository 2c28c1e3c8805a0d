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
_AT_ONCE = 1024  # blocks
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
        """Any weight, bias or norm, float32 in its shape, the caller's own. Raises KeyError where the file has none."""
        tensor = self.file.tensors[self._tensor_name(name)]
        rows, kind = self._rows(tensor.name), _KINDS.get(tensor.kind)
        if kind is not None:
            return kind.read(tensor.kind, rows).dequantized()
        return np.array(dequantize(rows, GGMLQuantizationType[tensor.kind]), np.float32).reshape(tensor.shape)

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
        if heads is not None and ARCHITECTURES.get(self.file.architecture):
            head_count = int(self.file.metadata[f"{self.file.architecture}.attention.{heads}"])
            rows = rows[_in_order(len(rows), head_count)]
        return rows


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
    return np.arange(row_count).reshape(head_count, -1, 2).swapaxes(1, 2).reshape(-1)


Scales = tuple[np.ndarray, np.ndarray | None]


@dataclass(frozen=True, slots=True)
class _Kind:
    """An encoding, as functions of its blocks, uint8 [count, bytes].

    `unpack` writes their codes into uint8 [count, weights]; `scales` gives scale and minimum of each group, float32
    [count, groups].
    """

    bits: int
    group: int
    unpack: Callable[[np.ndarray, np.ndarray], None]
    scales: Callable[[np.ndarray], Scales]

    def read(self, kind: str, rows: np.ndarray) -> QuantizedBlocks:
        """Unpacks rows of blocks, a few at a time, so that what is made on the way stays in the processor's cache."""
        per_block, size = GGML_QUANT_SIZES[GGMLQuantizationType[kind]]
        blocks = rows.reshape(-1, size)
        codes = np.empty((len(blocks), per_block), np.uint8)
        for at in range(0, len(blocks), _AT_ONCE):
            self.unpack(blocks[at : at + _AT_ONCE], codes[at : at + _AT_ONCE])
        scale, minimum = self.scales(blocks)
        shape = (len(rows), -1)
        return QuantizedBlocks(
            kind=kind,
            bits=self.bits,
            group=self.group,
            codes=(codes.view(np.int8) if minimum is None else codes).reshape(shape),
            scale=scale.reshape(shape),
            minimum=None if minimum is None else minimum.reshape(shape),
        )


def _float16(column: np.ndarray) -> np.ndarray:
    """Two bytes of each block as float32 [count, 1]."""
    return np.ascontiguousarray(column).view(np.float16).astype(np.float32)


def _nibbles(packed: np.ndarray, codes: np.ndarray, width: int) -> None:
    """The low halves of `width` bytes, then their high halves, then the next bytes."""
    count, size = packed.shape
    halves = codes.reshape(count, size // width, 2, width)
    runs = packed.reshape(count, size // width, width)
    np.bitwise_and(runs, 15, out=halves[:, :, 0])
    np.right_shift(runs, 4, out=halves[:, :, 1])


def _q4_0_scales(blocks: np.ndarray) -> Scales:
    scale = _float16(blocks[:, :2])
    return scale, scale * np.float32(-8)


def _q4_1_scales(blocks: np.ndarray) -> Scales:
    return _float16(blocks[:, :2]), _float16(blocks[:, 2:4])


def _q8_0_codes(blocks: np.ndarray, codes: np.ndarray) -> None:
    codes[:] = blocks[:, 2:]


def _q8_0_scales(blocks: np.ndarray) -> Scales:
    return _float16(blocks[:, :2]), None


def _q5_k_codes(blocks: np.ndarray, codes: np.ndarray) -> None:
    _nibbles(blocks[:, 48:], codes, 32)
    runs = codes.reshape(-1, 8, 32)
    for run in range(8):
        runs[:, run] |= (blocks[:, 16:48] >> run & 1) << 4


def _k_scales(blocks: np.ndarray) -> Scales:
    """8 groups of 6 bits each, packed into bytes 4 to 15 as gguf/quants.py draws them."""
    first, second, third = blocks[:, 4:8], blocks[:, 8:12], blocks[:, 12:16]
    scales = np.concatenate([first & 63, (third & 15) | ((first >> 2) & 48)], axis=1)
    minimums = np.concatenate([second & 63, (third >> 4) | ((second >> 2) & 48)], axis=1)
    return _float16(blocks[:, :2]) * scales, -(_float16(blocks[:, 2:4]) * minimums)


def _q6_k_codes(blocks: np.ndarray, codes: np.ndarray) -> None:
    _nibbles(blocks[:, :128], codes, 64)
    runs, highs = codes.reshape(-1, 2, 4, 32), blocks[:, 128:192].reshape(-1, 2, 32)
    for run in range(4):
        runs[:, :, run] |= (highs >> 2 * run & 3) << 4
    signed = codes.view(np.int8)
    signed -= 32


def _q6_k_scales(blocks: np.ndarray) -> Scales:
    return _float16(blocks[:, 208:]) * np.ascontiguousarray(blocks[:, 192:208]).view(np.int8), None


_KINDS = {
    "Q4_0": _Kind(4, 32, lambda blocks, codes: _nibbles(blocks[:, 2:], codes, 16), _q4_0_scales),
    "Q4_1": _Kind(4, 32, lambda blocks, codes: _nibbles(blocks[:, 4:], codes, 16), _q4_1_scales),
    "Q4_K": _Kind(4, 32, lambda blocks, codes: _nibbles(blocks[:, 16:], codes, 32), _k_scales),
    "Q5_K": _Kind(5, 32, _q5_k_codes, _k_scales),
    "Q6_K": _Kind(6, 16, _q6_k_codes, _q6_k_scales),
    "Q8_0": _Kind(8, 32, _q8_0_codes, _q8_0_scales),
}
