"""Runs the model: tokens of some sequences in, logits of their last tokens out."""

from collections.abc import Sequence as Several
from typing import Protocol

import torch
from transformers import PreTrainedModel

from decoder_service.engine.kv_cache import KVPool, PagedPass
from decoder_service.engine.sequence import Piece, Sequence


class ModelRunner(Protocol):
    """What the engine asks of a model."""

    def run(self, pieces: Several[Piece]) -> torch.Tensor:
        """Runs the next tokens of each piece, one step for all, and counts them as cached.

        Returns float32 logits `[pieces, vocabulary]` of the last token run of each.
        """
        ...

    def clear(self, pages: list[int]) -> None:
        """Makes pages harmless that may hold what is not a number."""
        ...


class ModuleRunner:
    """transformers' own modules over the paged pool: any causal language model, more slowly."""

    def __init__(self, model: PreTrainedModel, pages: int) -> None:
        self._model = model
        self._pool = KVPool(model.config, pages, model.dtype)

    @torch.inference_mode()
    def run(self, pieces: Several[Piece]) -> torch.Tensor:
        """As `ModelRunner`: a pass for the pieces of each length."""
        rows: dict[int, torch.Tensor] = {}
        for count in {piece.count for piece in pieces}:
            places = [place for place, piece in enumerate(pieces) if piece.count == count]
            rows |= zip(places, self._pass([pieces[place].sequence for place in places], count), strict=True)
        return torch.stack([rows[place] for place in range(len(pieces))])

    def clear(self, pages: list[int]) -> None:
        """As `ModelRunner`: what is masked is still multiplied."""
        self._pool.clear(pages)

    def _pass(self, sequences: list[Sequence], count: int) -> torch.Tensor:
        step = PagedPass(self._pool, sequences, count)
        tokens = [sequence.tokens[sequence.cached : sequence.cached + count] for sequence in sequences]
        output = self._model(
            input_ids=torch.tensor(tokens),
            attention_mask=step.mask,
            position_ids=step.positions,
            past_key_values=step,
            use_cache=True,
            logits_to_keep=1,
        )
        for sequence in sequences:
            sequence.cached += count
        return output.logits[:, -1].float()  # type: ignore[no-any-return]
