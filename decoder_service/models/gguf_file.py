"""Reads GGUF files: what they say of the model, and where each tensor's bytes are.

The layout is llama.cpp's, versions 2 and 3 (ggml/docs/gguf.md): magic, version, counts, key-value pairs, tensor
descriptions, padding, data. The file is mapped, not read, and arrays (the vocabulary, the merges) are stepped over: so
it is open in a tenth of a second, where gguf's own reader takes 3 to 10 s.
"""

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType, LlamaFileType

from decoder_service.models.errors import DamagedModelError

Value = str | int | float | bool

_MAGIC = 0x46554747
_VERSIONS = (2, 3)
_ALIGNMENT = 32
_MOST_DIMENSIONS = 4
_STRING, _ARRAY = 8, 9
# The type's number in the file, and how struct reads it.
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """Where a tensor is. `kind`: ggml's name of its encoding; `shape` is numpy's, the columns last."""

    name: str
    kind: str
    shape: tuple[int, ...]
    offset: int
    size: int


class GgufFile:
    """A GGUF file, mapped into memory.

    `metadata` has every key whose value is no array. Raises DamagedModelError where the file is cut or is none,
    OSError where it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metadata: dict[str, Value] = {}
        self.tensors: dict[str, GgufTensor] = {}
        try:
            self._bytes = np.memmap(path, dtype=np.uint8, mode="r")
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
                self._read(_Cursor(whole))
        except (ValueError, KeyError, ZeroDivisionError, struct.error) as error:
            raise DamagedModelError(f"{path} is no GGUF file, or a damaged one: {error}") from error

    @property
    def architecture(self) -> str:
        """ggml's name of the model's family, such as "llama" or "qwen2"; empty where the file has none."""
        return str(self.metadata.get("general.architecture", ""))

    @property
    def context(self) -> int | None:
        """Most tokens that the model was trained for."""
        found = self.metadata.get(f"{self.architecture}.context_length")
        return int(found) if found is not None else None

    @property
    def quantisation(self) -> str | None:
        """The file's mix of encodings by llama.cpp's name, such as "Q4_K_M"."""
        try:
            mix = LlamaFileType(int(self.metadata["general.file_type"]))
        except (KeyError, ValueError):
            return None
        return mix.name.partition("_")[2].removeprefix("MOSTLY_").removeprefix("ALL_")

    @property
    def parameter_count(self) -> int:
        """How many weights its tensors hold together."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors.values())

    def rows(self, name: str) -> np.ndarray:
        """A tensor's bytes as they are: uint8 [rows, bytes of a row], a view into the file. Raises KeyError."""
        tensor = self.tensors[name]
        return self._bytes[tensor.offset : tensor.offset + tensor.size].reshape(math.prod(tensor.shape[:-1]), -1)

    def _read(self, cursor: "_Cursor") -> None:
        magic, version = cursor.take("II")
        if magic != _MAGIC or version not in _VERSIONS:
            raise ValueError(f"it begins with {magic:#010x}, version {version}")
        tensor_count, value_count = cursor.take("QQ")
        for _ in range(value_count):
            key, value = cursor.string(), cursor.value()
            if value is not None:
                self.metadata[key] = value
        described = [cursor.tensor() for _ in range(tensor_count)]
        alignment = int(self.metadata.get("general.alignment", _ALIGNMENT))
        data = -(-cursor.at // alignment) * alignment
        for tensor in described:
            self._place(tensor, data)

    def _place(self, tensor: GgufTensor, data: int) -> None:
        begin = data + tensor.offset
        if begin + tensor.size > len(self._bytes):
            raise ValueError(f"the tensor {tensor.name} ends past the end of the file")
        self.tensors[tensor.name] = GgufTensor(tensor.name, tensor.kind, tensor.shape, begin, tensor.size)


class _Cursor:
    """Steps through the head of a file."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self.at = 0

    def take(self, layout: str) -> tuple[int, ...]:
        """The next values, little-endian, as struct names them."""
        found = struct.unpack_from(f"<{layout}", self._data, self.at)
        self.at += struct.calcsize(f"<{layout}")
        return found

    def string(self) -> str:
        """The next string."""
        (length,) = self.take("Q")
        self._skip(length)
        return self._data[self.at - length : self.at].decode()

    def value(self) -> Value | None:
        """The next value with its type before it; None for an array, which is stepped over."""
        (kind,) = self.take("I")
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY:
            return self.take(_SCALARS[kind])[0]
        kind, count = self.take("IQ")
        if kind != _STRING:
            self._skip(count * struct.calcsize(_SCALARS[kind]))
            return None
        for _ in range(count):
            self._skip(self.take("Q")[0])
        return None

    def tensor(self) -> GgufTensor:
        """The next tensor's description; its offset counts from the begin of the data."""
        name = self.string()
        (dimension_count,) = self.take("I")
        if not 0 < dimension_count <= _MOST_DIMENSIONS:
            raise ValueError(f"the tensor {name} has {dimension_count} dimensions")
        shape = self.take(f"{dimension_count}Q")[::-1]
        kind, offset = self.take("IQ")
        encoding = GGMLQuantizationType(kind)
        per_block, block_size = GGML_QUANT_SIZES[encoding]
        if shape[-1] % per_block:
            raise ValueError(f"the tensor {name} has rows that are no whole blocks of {encoding.name}")
        return GgufTensor(name, encoding.name, shape, offset, math.prod(shape) // per_block * block_size)

    def _skip(self, count: int) -> None:
        if count > len(self._data) - self.at:
            raise ValueError("it is cut short")
        self.at += count
