"""Runs a step: tokens of some sequences in, logits of their last tokens and of drafts out.

All tokens of a step lie one after the other, whatever their sequences: the projections see rows, and only attention
looks at whose they are. Between two products there is one call of a kernel, over buffers that are made once and grow
where a step is larger than was said.
"""

import itertools
from collections.abc import Sequence as Several

import numpy as np
import torch

from decoder_service.engine.memory import huge
from decoder_service.engine.pace import LEAST_CHUNK
from decoder_service.engine.pages import PAGE_TOKENS, pages_for
from decoder_service.engine.sequence import Piece
from decoder_service.forward.architecture import Architecture
from decoder_service.forward.kernels import Kernels
from decoder_service.forward.weights import Weights


class LeanRunner:
    """The lean forward pass over a pool of `pages` pages; `most_rows`: tokens of a step."""

    least_chunk = LEAST_CHUNK

    def __init__(
        self,
        architecture: Architecture,
        weights: Weights,
        kernels: Kernels,
        pages: int,
        most_rows: int,
    ) -> None:
        self._architecture = architecture
        self._weights = weights
        self._kernels = kernels
        dtype = weights.embedding.dtype
        self._angles = (weights.cosines.data_ptr(), weights.sines.data_ptr())
        # All of a page lies together, whatever the layer, so that what is used of the pool is used whole.
        self._cache = huge(
            (pages, architecture.layers, 2, architecture.kv_heads * architecture.head_dim * PAGE_TOKENS), dtype
        )
        page, layer, values, _ = (each * dtype.itemsize for each in self._cache.stride())
        first = self._cache.data_ptr()
        self._pool = [
            (first + n * layer, first + n * layer + values, page // dtype.itemsize) for n in range(architecture.layers)
        ]
        self._make_buffers(most_rows)

    def _make_buffers(self, rows: int) -> None:
        shape, dtype = self._architecture, self._weights.embedding.dtype
        self._residual = torch.empty(rows, shape.hidden)
        self._normed = torch.empty(rows, shape.hidden, dtype=dtype)
        self._attended = torch.empty(rows, shape.query_heads * shape.head_dim, dtype=dtype)
        self._gated = torch.empty(rows, shape.intermediate, dtype=dtype)

    @torch.inference_mode()
    def run(self, pieces: Several[Piece]) -> torch.Tensor:
        """As `ModelRunner`: one pass for all."""
        step = _Step(pieces)
        if step.rows > len(self._residual):
            self._make_buffers(step.rows)
        self._residual[: step.rows] = self._weights.embedding[step.tokens]
        self._layers(step)
        for piece in pieces:
            piece.sequence.cached += piece.count
        wanted = self._normed[: step.rows] if len(step.wanted) == step.rows else self._normed[step.wanted]
        return self._weights.head(wanted).float()

    def clear(self, pages: list[int]) -> None:
        """As `ModelRunner`: nothing to do, for the kernels read no token that is not the sequence's own."""

    def _layers(self, step: "_Step") -> None:
        rows, kernels = step.rows, self._kernels
        normed, attended, gated = self._normed[:rows], self._attended[:rows], self._gated[:rows]
        residual, x, a, g = (each.data_ptr() for each in (self._residual, normed, attended, gated))
        delta: torch.Tensor | None = None
        for layer, pool in zip(self._weights.layers, self._pool, strict=True):
            kernels.add_norm(residual, _address(delta), layer.attention_norm.data_ptr(), x, rows)
            qkv = layer.qkv(normed)
            kernels.attend(qkv.data_ptr(), self._angles, step.tables, step.sequences, step.positions, pool, a, rows)
            delta = layer.output(attended)
            kernels.add_norm(residual, delta.data_ptr(), layer.mlp_norm.data_ptr(), x, rows)
            gate_up = layer.gate_up(normed)
            kernels.gate(gate_up.data_ptr(), g, rows)
            delta = layer.down(gated)
        kernels.add_norm(residual, _address(delta), self._weights.norm.data_ptr(), x, rows)


class _Step:
    """Which tokens a step runs and where they belong, as the kernels take it. Owns the memory behind its addresses."""

    def __init__(self, pieces: Several[Piece]) -> None:
        counts = [piece.count + len(piece.drafts) for piece in pieces]
        self.rows = sum(counts)
        self.tokens = torch.tensor([token for piece in pieces for token in piece.tokens])
        ends = itertools.accumulate(counts)
        self.wanted = [row for piece, end in zip(pieces, ends, strict=True) for row in range(end - piece.rows, end)]
        starts = [piece.sequence.cached for piece in pieces]
        self._positions = np.concatenate(
            [np.arange(start, start + count, dtype=np.int32) for start, count in zip(starts, counts, strict=True)]
        )
        self._sequences = np.repeat(np.arange(len(pieces), dtype=np.int32), counts)
        self._tables = _tables(pieces)
        self.positions, self.sequences = self._positions.ctypes.data, self._sequences.ctypes.data
        self.tables = (self._tables.ctypes.data, self._tables.shape[1])


def _tables(pieces: Several[Piece]) -> "np.ndarray[tuple[int, int], np.dtype[np.int32]]":
    """The pages that each sequence's tokens lie in, `[sequences, most pages of one]`."""
    used = [pages_for(piece.sequence.cached + piece.count + len(piece.drafts)) for piece in pieces]
    tables = np.zeros((len(pieces), max(used)), dtype=np.int32)
    for row, (piece, count) in enumerate(zip(pieces, used, strict=True)):
        tables[row, :count] = piece.sequence.pages[:count]
    return tables


def _address(tensor: torch.Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()
