"""Products with a weight, `[rows, in] -> [rows, out]`: in full, 8 or 4 bits, and the faster of two for the rows.

With few rows a product waits for its weights to come from memory, so the smaller ones win; with many it waits for the
arithmetic, where processors that multiply matrices of bfloat16 win. Where the two cross is measured when a model is
loaded.
"""

import time
from collections.abc import Sequence
from statistics import median
from typing import Protocol

import torch

from decoder_service.forward.groups import GroupCodes
from decoder_service.forward.kernels import Kernels

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


class GroupedLinear:
    """4 or 8 bits. Inputs are rounded to 8 bits on the way."""

    def __init__(self, kernels: Kernels, weight: GroupCodes, bias: torch.Tensor | None = None) -> None:
        self._outputs, self._inputs = weight.codes.shape
        self._records = weight.records()
        self._bias = bias
        self._multiply = kernels.product(weight.bits)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """`[rows, in] -> [rows, out]`."""
        rows, bias = len(x), self._bias
        out = x.new_empty(rows, self._outputs)
        bias_at = None if bias is None else bias.data_ptr()
        self._multiply(
            self._records.data_ptr(), x.data_ptr(), bias_at, out.data_ptr(), rows, self._inputs, self._outputs
        )
        return out


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

