"""Weights in few bits: codes in groups of 32 inputs, and the records of them that the products read.

weight[o, i] = scale[o, i // 32] * codes[o, i] + minimum[o, i // 32]
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from decoder_service.forward.architecture import LANES
from decoder_service.models.blocks import QuantizedBlocks

GROUP = 32  # inputs that share a scale
QUAD = 4  # inputs whose codes lie side by side, for one output after the other
FEW_BITS, MANY_BITS = 4, 8
SMALLEST = 2.0**-24  # of float16


@dataclass(frozen=True, slots=True, eq=False)
class GroupCodes:
    """`codes` is uint8 `[out, in]`, below 2 to the power of `bits`; the others are float32 `[out, in / 32]`."""

    bits: int
    codes: torch.Tensor
    scale: torch.Tensor
    minimum: torch.Tensor

    def records(self) -> torch.Tensor:
        """uint8 `[out / 16, in / 32, bytes]`, as `native/products.cpp` describes them; `out` is rounded up."""
        codes = _tiles(self.codes, GROUP).unflatten(3, (-1, QUAD)).transpose(2, 3)  # [tiles, groups, quads, 16, 4]
        if self.bits == FEW_BITS:
            codes = codes[:, :, 0::2] | codes[:, :, 1::2] << FEW_BITS
        halves = [
            _tiles(each.half(), 1).flatten(2).contiguous().view(torch.uint8) for each in (self.scale, self.minimum)
        ]
        return torch.cat([*halves, codes.flatten(2)], 2)


def nearest(weight: torch.Tensor, bits: int) -> GroupCodes:
    """The nearest codes of `[out, in]`. `in` is a multiple of 32."""
    groups, most = weight.float().unflatten(1, (-1, GROUP)), 2**bits - 1
    # Rounded to what a record holds before the codes are chosen, so that they make up for it.
    low = groups.amin(2).half().float()
    scale = ((groups.amax(2) - low) / most).half().float().clamp(min=SMALLEST)
    codes = ((groups - low[..., None]) / scale[..., None]).round().clamp(0, most)
    return GroupCodes(bits, codes.flatten(1).to(torch.uint8), scale, low)


def from_blocks(blocks: QuantizedBlocks) -> GroupCodes | None:
    """A file's own codes; None where they are in other groups."""
    if blocks.group != GROUP:
        return None
    codes, scale = torch.from_numpy(blocks.codes), torch.from_numpy(blocks.scale)
    if blocks.minimum is None:  # they lie around 0
        middle = 2 ** (MANY_BITS - 1)
        return GroupCodes(MANY_BITS, (codes.to(torch.int16) + middle).to(torch.uint8), scale, scale * -middle)
    return GroupCodes(
        FEW_BITS if blocks.bits == FEW_BITS else MANY_BITS, codes, scale, torch.from_numpy(blocks.minimum)
    )


def joined(parts: Sequence[GroupCodes]) -> GroupCodes:
    """One below the other, in as many bits as the one that has most."""
    return GroupCodes(
        max(part.bits for part in parts),
        torch.cat([part.codes for part in parts]),
        torch.cat([part.scale for part in parts]),
        torch.cat([part.minimum for part in parts]),
    )


def _tiles(rows: torch.Tensor, width: int) -> torch.Tensor:
    """`[out, n * width]` as `[out / 16, n, 16, width]`, with zeros where rows lack."""
    padded = torch.nn.functional.pad(rows, (0, 0, 0, -len(rows) % LANES))
    return padded.view(-1, LANES, padded.shape[1] // width, width).transpose(1, 2)
