"""Runs the model: tokens of some sequences in, logits of their last tokens out."""

import torch
from transformers import PreTrainedModel

from decoder_service.engine.kv_cache import KVPool, PagedPass
from decoder_service.engine.sequence import Piece, Sequence


class ModelRunner:
    """transformers' own modules over the paged pool."""

    def __init__(self, model: PreTrainedModel, pages: int) -> None:
        self._model = model
        self._pool = KVPool(model.config, pages, model.dtype)

    @torch.inference_mode()
    def run(self, pieces: tuple[Piece, ...]) -> torch.Tensor:
        """Runs the next tokens of each piece and counts them as cached.

        Returns float32 logits `[len(pieces), vocabulary]` of the last token that each piece ran.
        """
        rows: list[torch.Tensor] = [torch.empty(0)] * len(pieces)
        for count in sorted({piece.count for piece in pieces}):
            places = [place for place, piece in enumerate(pieces) if piece.count == count]
            logits = self._run([pieces[place].sequence for place in places], count)
            for place, row in zip(places, logits, strict=True):
                rows[place] = row
        return torch.stack(rows)

    def clear(self, pages: list[int]) -> None:
        """Wipes pages that may hold what is not a number: what is masked is still multiplied."""
        self._pool.clear(pages)

    def _run(self, sequences: list[Sequence], count: int) -> torch.Tensor:
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
