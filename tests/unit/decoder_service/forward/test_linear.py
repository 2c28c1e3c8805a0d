"""Products in few bits are those of the weights that they stand for."""

import ctypes

import pytest
import torch

from decoder_service.engine.memory import Arena
from decoder_service.forward.architecture import Architecture
from decoder_service.forward.groups import GroupCodes, nearest
from decoder_service.forward.kernels import Kernels, levels, open_kernels, open_library
from decoder_service.forward.linear import MEASURED_ROWS, ByRows, DenseLinear, GroupedLinear, Linear, settle

ARCHITECTURE = Architecture(1, 64, 96, 9, 3, 64, 1e-5)


def relative_error(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found.float() - wanted).norm() / wanted.norm())


def whole(codes: GroupCodes) -> torch.Tensor:
    return codes.codes * codes.scale.repeat_interleave(32, 1) + codes.minimum.repeat_interleave(32, 1)


def rounded(x: torch.Tensor) -> torch.Tensor:
    """Inputs as the products see them: 8 bits in groups of 32."""
    groups = x.float().unflatten(1, (-1, 32))
    scale = groups.abs().amax(2, keepdim=True) / 127
    return ((groups / scale.clamp(min=1e-30)).round() * scale).flatten(1)


@pytest.fixture(scope="module", params=levels())
def library(request: pytest.FixtureRequest) -> ctypes.CDLL:
    """The kernels for every kind of processor that this one can stand in for."""
    return open_library(request.param)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bits", [4, 8])
def test_grouped_products_are_those_of_their_weights(library: ctypes.CDLL, dtype: torch.dtype, bits: int) -> None:
    kernels = Kernels(library, ARCHITECTURE, dtype)
    for rows, outputs in ((1, 96), (5, 100), (9, 16), (33, 7), (300, 40)):
        torch.manual_seed(rows)
        codes, x, bias = nearest(torch.randn(outputs, 64), bits), torch.randn(rows, 64).to(dtype), torch.randn(outputs)
        wanted = torch.nn.functional.linear(rounded(x), whole(codes))
        exact = 1e-6 if dtype == torch.float32 else 3e-3
        assert relative_error(GroupedLinear(kernels, Arena(), codes)(x), wanted) < exact
        assert relative_error(GroupedLinear(kernels, Arena(), codes, bias.to(dtype))(x), wanted + bias) < exact
        assert relative_error(rounded(x), x.float()) < 0.008


def test_outputs_of_bfloat16_can_be_had_whole(library: ctypes.CDLL) -> None:
    kernels = Kernels(library, ARCHITECTURE, torch.bfloat16)
    codes, x = nearest(torch.randn(50, 64), 8), torch.randn(9, 64).bfloat16()
    found = GroupedLinear(kernels, Arena(), codes, out=torch.float32)(x)
    assert not torch.equal(found, found.bfloat16().float())
    assert torch.equal(found.bfloat16(), GroupedLinear(kernels, Arena(), codes)(x))


@pytest.mark.parametrize("bits", [4, 8])
def test_a_row_is_the_same_in_any_company(bits: int) -> None:
    codes, x = nearest(torch.randn(48, 96), bits), torch.randn(37, 96)
    product = GroupedLinear(open_kernels(ARCHITECTURE, torch.float32), Arena(), codes)
    together = product(x)
    for count in (1, 2, 7, 8, 9, 20):
        assert torch.equal(product(x[:count].contiguous()), together[:count])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_stays_none_and_in_its_row(value: float) -> None:
    x = torch.randn(3, 64)
    x[1, 40] = value
    found = GroupedLinear(open_kernels(ARCHITECTURE, torch.float32), Arena(), nearest(torch.randn(32, 64), 4))(x)
    assert not found[1].isfinite().any()
    assert found[[0, 2]].isfinite().all()


def test_rows_of_zeros_give_zeros() -> None:
    found = GroupedLinear(open_kernels(ARCHITECTURE, torch.float32), Arena(), nearest(torch.randn(32, 64), 8))(
        torch.zeros(2, 64)
    )
    assert torch.equal(found, torch.zeros(2, 32))


@pytest.mark.parametrize("with_bias", [False, True])
def test_dense_products_are_torchs(with_bias: bool) -> None:
    weight, x = torch.randn(96, 64), torch.randn(5, 64)
    bias = torch.randn(96) if with_bias else None
    half = None if bias is None else bias.bfloat16()
    wanted = torch.nn.functional.linear(x, weight, bias)
    assert torch.allclose(DenseLinear(weight, bias)(x), wanted, atol=1e-5)
    assert relative_error(DenseLinear(weight.bfloat16(), half)(x.bfloat16()), wanted) < 0.01


class Counting:
    """Counts rows, and takes as long as multiplying two matrices of `work` rows."""

    def __init__(self, work: int = 0) -> None:
        self.rows: list[int] = []
        self._busy = torch.ones(work, work)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.rows.append(len(x))
        if len(self._busy):
            self._busy @ self._busy
        return x


def settled(few: Linear, many: Linear) -> ByRows:
    product = ByRows(few)
    settle([product], [lambda: many], 2, 2)
    return product


def test_where_the_small_one_always_wins_the_other_is_not_kept() -> None:
    few, many = Counting(), Counting(1000)
    product = settled(few, many)
    few.rows.clear()
    for rows in (1, 5000):
        product(torch.zeros(rows, 2))
    assert few.rows == [1, 5000]


def test_one_row_is_always_the_small_ones() -> None:
    few, many = Counting(1000), Counting()
    product = settled(few, many)
    few.rows.clear()
    many.rows.clear()
    for rows in (1, 2):
        product(torch.zeros(rows, 2))
    assert (few.rows, many.rows) == ([1], [2])


def test_products_turn_where_they_cross() -> None:
    class SlowWithMany(Counting):
        def __call__(self, x: torch.Tensor) -> torch.Tensor:
            return super().__call__(x) if len(x) >= 16 else x

    product = settled(SlowWithMany(1000), Counting(300))
    assert product.most == 12
    assert product.most in MEASURED_ROWS
