"""Runs the model: tokens of some sequences in, logits of their last tokens out."""

from collections.abc import Sequence as Several
from typing import Protocol

import torch
from transformers import PreTrainedModel

from decoder_service.engine.kv_cache import KVPool, PagedPass
from decoder_service.engine.sequence import Piece


class ModelRunner(Protocol):
    """What the engine asks of a model. `least_chunk`: tokens of a prompt that a step beside others takes at least."""

    least_chunk: int

    def run(self, pieces: Several[Piece]) -> torch.Tensor:
        """Runs the next tokens of each piece, one step for all, and counts them as cached; and the drafts, uncounted.

        Returns float32 logits `[rows, vocabulary]` in main memory: of each piece in turn those after the last of its
        tokens, then those after each of its drafts.
        """
        ...

    def clear(self, pages: list[int]) -> None:
        """Makes pages harmless that may hold what is not a number."""
        ...


class ModuleRunner:
    """transformers' own modules over the paged pool: any causal language model, more slowly."""

    least_chunk = 32  # in a pass of its own, which reads all weights

    def __init__(self, model: PreTrainedModel, pages: int) -> None:
        self._model = model
        self._pool = KVPool(model.config, pages, model.dtype)

    @torch.inference_mode()
    def run(self, pieces: Several[Piece]) -> torch.Tensor:
        """As `ModelRunner`: a pass for the pieces of each length."""
        lengths = [len(piece.tokens) for piece in pieces]
        rows: dict[int, torch.Tensor] = {}
        for count in set(lengths):
            places = [place for place, length in enumerate(lengths) if length == count]
            rows |= zip(places, self._pass([pieces[place] for place in places], count), strict=True)
        return torch.cat([rows[place] for place in range(len(pieces))])

    def clear(self, pages: list[int]) -> None:
        """As `ModelRunner`: what is masked is still multiplied."""
        self._pool.clear(pages)

    def _pass(self, pieces: list[Piece], count: int) -> list[torch.Tensor]:
        """Runs pieces of `count` tokens each, drafts among them. Gives the rows of each."""
        step = PagedPass(self._pool, [piece.sequence for piece in pieces], count)
        output = self._model(
            input_ids=torch.tensor([piece.tokens for piece in pieces]),
            attention_mask=step.mask,
            position_ids=step.positions,
            past_key_values=step,
            use_cache=True,
            logits_to_keep=max(piece.rows for piece in pieces),
        )
        for piece in pieces:
            piece.sequence.cached += piece.count
        return [logits[-piece.rows :].float() for logits, piece in zip(output.logits, pieces, strict=True)]
