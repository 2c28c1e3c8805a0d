"""Runs the model: tokens of some sequences in, logits of their last tokens out."""

import torch
from transformers import PreTrainedModel

from decoder_service.engine.kv_cache import KVPool, PagedPass
from decoder_service.engine.sequence import Sequence


class ModelRunner:
    """transformers' own modules over the paged pool."""

    def __init__(self, model: PreTrainedModel, pages: int) -> None:
        self._model = model
        self._pool = KVPool(model.config, pages, model.dtype)

    @torch.inference_mode()
    def run(self, sequences: list[Sequence], count: int) -> torch.Tensor:
        """Runs the next `count` tokens of each sequence and counts them as cached.

        Returns float32 logits `[batch, vocabulary]` of the last token run of each.
        """
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
