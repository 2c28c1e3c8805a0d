"""Products with a weight, `[rows, in] -> [rows, out]`: in full, 8 or 4 bits, and the faster of two for the rows.

With few rows a product waits for its weights to come from memory, so the smaller ones win; with many it waits for the
arithmetic, where bfloat16 wins. Where the two cross is measured when a model is loaded.
"""

import time
from collections.abc import Sequence
from statistics import median
from typing import Protocol

import torch

GROUP = 32  # weights that share a scale
MEASURED_ROWS = (2, 4, 6, 8, 12, 16, 24, 32)
REPEATS = 3


class Linear(Protocol):
    """A product with a weight."""

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """`[rows, in] -> [rows, out]`, contiguous."""
        ...


class DenseLinear:
    """float32 or bfloat16, packed once into the blocks that oneDNN reads."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), 1)
        self._bias = bias

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """`[rows, in] -> [rows, out]`."""
        return torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, "none", [], "")  # type: ignore[no-any-return]


class Int8Linear:
    """8 bits and a scale for each output, over bfloat16 inputs."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        wide = weight.float()
        scale = wide.abs().amax(1).clamp(min=1e-12) / 127
        self._codes = (wide / scale[:, None]).round().to(torch.int8)
        self._scale = scale.bfloat16()
        self._bias = bias

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """`[rows, in] -> [rows, out]`."""
        return _with_bias(torch._weight_int8pack_mm(x, self._codes, self._scale), self._bias)


class Int4Linear:
    """4 bits, and a scale and a minimum for each group of 32 inputs: `weight = scale * code + minimum`.

    `codes` is `[out, in]` in 0..15, `scale` and `minimum` are `[out, in / 32]`.
    """

    def __init__(
        self,
        codes: torch.Tensor,
        scale: torch.Tensor,
        minimum: torch.Tensor,
        bias: torch.Tensor | None = None,
    ) -> None:
        self._codes = torch.ops.aten._convert_weight_to_int4pack_for_cpu(codes.to(torch.int32), 1)
        rounded = scale.bfloat16()
        # The kernel computes (code - 8) * scale + middle, so the scale's rounding is felt least in the middle, where
        # most codes are.
        middle = (minimum + 8 * scale).bfloat16()
        self._scales = torch.stack((rounded.T, middle.T), -1).contiguous()
        self._bias = bias

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """`[rows, in] -> [rows, out]`."""
        return _with_bias(torch.ops.aten._weight_int4pack_mm_for_cpu(x, self._codes, GROUP, self._scales), self._bias)


class ByRows:
    """Takes `few` up to `most` rows, `many` above."""

    def __init__(self, few: Linear, many: Linear) -> None:
        self.few, self.many, self.most = few, many, 1

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """`[rows, in] -> [rows, out]`."""
        return self.few(x) if len(x) <= self.most else self.many(x)


def settle(products: Sequence[ByRows], width: int) -> None:
    """Measures where products of one shape cross, and has them all turn there. `width`: their inputs, in bfloat16.

    All are run in turn, so that their weights come from memory as they do in a step.
    """
    for rows in MEASURED_ROWS:
        x = torch.zeros(rows, width, dtype=torch.bfloat16)
        if _seconds([each.few for each in products], x) > _seconds([each.many for each in products], x):
            return
        for each in products:
            each.most = rows


def _seconds(products: Sequence[Linear], x: torch.Tensor) -> float:
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        for product in products:
            product(x)
        times.append(time.perf_counter() - began)
    return median(times)


def _with_bias(x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    return x if bias is None else x.add_(bias)
