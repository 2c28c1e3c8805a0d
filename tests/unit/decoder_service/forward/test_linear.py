"""Products in few bits are those of the weights that they stand for."""

import pytest
import torch

from decoder_service.forward.linear import ByRows, DenseLinear, Int4Linear, Int8Linear, settle
from decoder_service.forward.weights import group_codes


def relative_error(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found.float() - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("rows", [1, 5, 33])
@pytest.mark.parametrize("with_bias", [False, True])
def test_products_are_those_of_their_weights(rows: int, with_bias: bool) -> None:
    torch.manual_seed(rows)
    weight, x = torch.randn(96, 64), torch.randn(rows, 64).bfloat16()
    bias = torch.randn(96) if with_bias else None
    half = None if bias is None else bias.bfloat16()
    codes, scale, minimum = group_codes(weight)
    four = codes * scale.repeat_interleave(32, 1) + minimum.repeat_interleave(32, 1)

    def wanted(of: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(x.float(), of, bias)

    assert relative_error(DenseLinear(weight.bfloat16(), half)(x), wanted(weight)) < 0.01
    assert relative_error(Int8Linear(weight, half)(x), wanted(weight)) < 0.02
    assert relative_error(Int4Linear(codes, scale, minimum, half)(x), wanted(four)) < 0.01
    exact = DenseLinear(weight, bias)(x.float())
    assert torch.allclose(exact, wanted(weight), atol=1e-5)


def test_codes_of_a_group_are_exact_where_the_group_has_sixteen_values() -> None:
    levels = torch.arange(16).repeat(2, 2)[:, torch.randperm(32)] * 0.25 - 1.5
    codes, scale, minimum = group_codes(levels)
    assert torch.equal(codes * scale + minimum, levels)


def test_equal_weights_have_no_scale_and_are_kept() -> None:
    codes, scale, minimum = group_codes(torch.full((1, 32), 3.0))
    assert torch.equal(codes * scale + minimum, torch.full((1, 32), 3.0))


class Counting:
    def __init__(self) -> None:
        self.rows: list[int] = []

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.rows.append(len(x))
        return x


def test_rows_choose_between_two_products() -> None:
    few, many = Counting(), Counting()
    product = ByRows(few, many)
    product.most = 4
    for rows in (1, 4, 5):
        product(torch.zeros(rows, 2))
    assert (few.rows, many.rows) == ([1, 4], [5])


def test_one_row_is_always_the_small_ones() -> None:
    def slow(x: torch.Tensor) -> torch.Tensor:
        return (torch.ones(2000, 2000) @ torch.ones(2000, 2000))[: len(x)]

    product = ByRows(slow, lambda x: x)
    settle([product], 2)
    assert product.most == 1
