"""Weights in few bits: what is chosen is the nearest, and a file's own codes are kept as they are."""

import numpy as np
import pytest
import torch

from decoder_service.forward.groups import GroupCodes, from_blocks, joined, nearest
from decoder_service.models.blocks import QuantizedBlocks


def whole(codes: GroupCodes) -> torch.Tensor:
    return codes.codes * codes.scale.repeat_interleave(32, 1) + codes.minimum.repeat_interleave(32, 1)


@pytest.mark.parametrize("bits", [4, 8])
def test_no_weight_is_further_than_half_a_step(bits: int) -> None:
    weight = torch.randn(64, 96) * torch.logspace(-3, 2, 64)[:, None]
    codes = nearest(weight, bits)
    half = codes.scale.repeat_interleave(32, 1) / 2
    # At a group's upper end, the rounding of its scale to float16 is felt too.
    assert ((whole(codes) - weight).abs() <= half * (1 + 2**bits * 2**-10)).all()


def test_codes_of_a_group_are_exact_where_the_group_has_sixteen_values() -> None:
    levels = torch.arange(16).repeat(2, 2)[:, torch.randperm(32)] * 0.25 - 1.5
    assert torch.equal(whole(nearest(levels, 4)), levels)


@pytest.mark.parametrize("bits", [4, 8])
def test_equal_weights_are_kept(bits: int) -> None:
    for value in (0.0, 3.0):
        assert torch.equal(whole(nearest(torch.full((1, 32), value), bits)), torch.full((1, 32), value))


def blocks(bits: int, codes: np.ndarray, minimum: np.ndarray | None, group: int = 32) -> QuantizedBlocks:
    scale = np.full((codes.shape[0], codes.shape[1] // group), 0.5, np.float32)
    return QuantizedBlocks("any", bits, group, codes, scale, minimum)


@pytest.mark.parametrize(("bits", "kept"), [(4, 4), (5, 8)])
def test_a_files_codes_are_kept(bits: int, kept: int) -> None:
    file = blocks(bits, np.random.randint(0, 2**bits, (3, 64)).astype(np.uint8), np.full((3, 2), -2, np.float32))
    codes = from_blocks(file)
    assert codes is not None
    assert codes.bits == kept
    assert torch.equal(whole(codes), torch.from_numpy(file.dequantized()))


def test_a_files_codes_around_zero_are_kept() -> None:
    file = blocks(8, np.random.randint(-128, 128, (3, 64)).astype(np.int8), None)
    codes = from_blocks(file)
    assert codes is not None
    assert torch.equal(whole(codes), torch.from_numpy(file.dequantized()))


def test_codes_in_other_groups_are_not_taken() -> None:
    assert from_blocks(blocks(8, np.zeros((3, 64), np.int8), None, group=16)) is None


def test_parts_are_joined_in_the_bits_of_the_widest() -> None:
    first, second = nearest(torch.randn(16, 32), 4), nearest(torch.randn(5, 32), 8)
    both = joined([first, second])
    assert both.bits == 8
    assert torch.equal(whole(both), torch.cat([whole(first), whole(second)]))
