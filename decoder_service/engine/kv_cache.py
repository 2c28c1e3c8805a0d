"""Keys and values of all sequences, in pages of one pool a layer.

The pool of a layer is `[tokens, kv_heads, head_dim]`. A forward pass names, for the tokens it runs, the rows that they
are written to, and for each sequence the rows that it reads; no row moves when a sequence joins, leaves or is parked.
The pool is allocated once, as zeros, because what is masked is still multiplied.
"""

import torch
from transformers import PretrainedConfig

from decoder_service.engine.memory import huge
from decoder_service.engine.pages import PAGE_TOKENS
from decoder_service.engine.sequence import Sequence


class KVPool:
    """The pools of every layer; `pages` of `PAGE_TOKENS` tokens each."""

    def __init__(self, config: PretrainedConfig, pages: int, dtype: torch.dtype) -> None:
        shape = (config.num_hidden_layers, pages * PAGE_TOKENS, *_head_shape(config))
        self.keys, self.values = huge(shape, dtype), huge(shape, dtype)

    def clear(self, pages: list[int]) -> None:
        """Makes pages zero again."""
        for pool in (self.keys, self.values):
            pool.unflatten(1, (-1, PAGE_TOKENS))[:, pages] = 0


def token_bytes(config: PretrainedConfig, dtype: torch.dtype) -> int:
    """Memory that one token takes in the pool."""
    heads, dim = _head_shape(config)
    return int(2 * config.num_hidden_layers * heads * dim * dtype.itemsize)


def _head_shape(config: PretrainedConfig) -> tuple[int, int]:
    heads = config.num_attention_heads
    dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    return getattr(config, "num_key_value_heads", None) or heads, dim


class PagedPass:
    """One forward pass over the pool: what transformers' attention modules take for their cache.

    Runs the tokens `[cached, cached + count)` of each sequence; all rows have the same `count`.
    `positions` is `[batch, count]`, `mask` `[batch, 1, count, length]` with True where a token may look.
    """

    def __init__(self, pool: KVPool, sequences: list[Sequence], count: int) -> None:
        self._pool = pool
        ends = torch.tensor([sequence.cached + count for sequence in sequences])
        length = int(ends.max())
        offsets = torch.arange(length)
        self.positions = ends[:, None] - count + torch.arange(count)
        self.mask = (offsets <= self.positions[:, :, None])[:, None]
        self._read = _rows(sequences, length)
        self._write = self._read.gather(1, self.positions).flatten()

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer_idx: int, *_: object, **__: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Writes this pass's `[batch, heads, count, dim]` and returns all that its sequences read, `[batch, heads,
        length, dim]`."""
        return self._through(self._pool.keys[layer_idx], keys), self._through(self._pool.values[layer_idx], values)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Asked by modules that make their own positions; ours come from outside."""
        return int(self.positions.min())

    def _through(self, pool: torch.Tensor, fresh: torch.Tensor) -> torch.Tensor:
        pool.index_copy_(0, self._write, fresh.transpose(1, 2).flatten(0, 1))
        return pool[self._read].transpose(1, 2)


def _rows(sequences: list[Sequence], length: int) -> torch.Tensor:
    """Pool rows of each sequence's first `length` positions, `[batch, length]`; past its pages 0, which is masked."""
    width = -(-length // PAGE_TOKENS)
    table = torch.zeros((len(sequences), width), dtype=torch.long)
    for row, sequence in enumerate(sequences):
        pages = sequence.pages[:width]
        table[row, : len(pages)] = torch.tensor(pages, dtype=torch.long)
    rows = table[:, :, None] * PAGE_TOKENS + torch.arange(PAGE_TOKENS)
    return rows.flatten(1)[:, :length]
