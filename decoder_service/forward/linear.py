"""Products with a weight, `[rows, in] -> [rows, out]`: in full, 8 or 4 bits, and the faster of two for the rows.

With few rows a product waits for its weights to come from memory, so the smaller ones win; with many it waits for the
arithmetic, where processors that multiply matrices of bfloat16 win. Where the two cross is measured when a model is
loaded.
"""

import bisect
import math
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Protocol

import torch

from decoder_service.engine.memory import Arena
from decoder_service.forward.groups import GroupCodes
from decoder_service.forward.kernels import Kernels

MEASURED_ROWS = (2, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256)
MORE_THAN_A_CACHE = 64 * 2**20  # weights
COMPUTED_ROWS = 32
REPEATS = 3
CLEARLY = 1.1  # slower: by less, the larger weights are not worth their memory


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
    """4 or 8 bits. Inputs are rounded to 8 bits on the way. `out`: the outputs' dtype, float32 or as the inputs'."""

    def __init__(
        self,
        kernels: Kernels,
        arena: Arena,
        weight: GroupCodes,
        bias: torch.Tensor | None = None,
        out: torch.dtype | None = None,
    ) -> None:
        self._outputs, self._inputs = weight.codes.shape
        self._records = arena.keep(weight.records())
        self._bias = bias
        self._out = out or kernels.dtype
        self._multiply = kernels.product(weight.bits, self._out)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """`[rows, in] -> [rows, out]`."""
        rows, bias = len(x), self._bias
        out = x.new_empty(rows, self._outputs, dtype=self._out)
        bias_at = None if bias is None else bias.data_ptr()
        self._multiply(
            self._records.data_ptr(), x.data_ptr(), bias_at, out.data_ptr(), rows, self._inputs, self._outputs
        )
        return out


class ByRows:
    """Takes `few` up to `most` rows, `many` above: at first, `few` always."""

    def __init__(self, few: Linear) -> None:
        self.few, self.many = few, few
        self.most = math.inf

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """`[rows, in] -> [rows, out]`."""
        return self.few(x) if len(x) <= self.most else self.many(x)


def settle(products: Sequence[ByRows], dense: Sequence[Callable[[], Linear]], inputs: int, outputs: int) -> None:
    """Measures where products of one shape cross, and has them all turn there, if they do. Inputs are bfloat16.

    `dense` make the products for many rows; all of them are made only where they win.
    """
    sample = -(-MORE_THAN_A_CACHE // (inputs * outputs))
    few, many = [each.few for each in products[:sample]], [make() for make in dense[:sample]]

    def many_win(rows: int) -> bool:
        x = torch.zeros(rows, inputs, dtype=torch.bfloat16)
        # As many products in turn as fit into no cache, so that weights come from memory as in a step; fewer where the
        # arithmetic takes so long that memory does not matter.
        count = max(1, min(len(few), len(few) * COMPUTED_ROWS // rows))
        return _seconds(few[:count], x) > CLEARLY * _seconds(many[:count], x)

    crossing = bisect.bisect_left(MEASURED_ROWS, True, key=many_win)
    if crossing < len(MEASURED_ROWS):
        for product, make in zip(products, dense, strict=True):
            product.most, product.many = MEASURED_ROWS[crossing - 1] if crossing else 1, make()


def _seconds(products: Sequence[Linear], x: torch.Tensor) -> float:
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        for product in products:
            product(x)
        times.append(time.perf_counter() - began)
    return median(times)
