"""transformers' `generate`: bf16, greedy, one static batch."""

import argparse
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, StoppingCriteria, StoppingCriteriaList

from benchmarks.decoding.program import Recorder, serve


class StepClock(StoppingCriteria):
    """Asked after each token whether to stop; tells the time to the recorder."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        """Every sequence has one more token; none is to stop."""
        self._recorder.step(dict.fromkeys(range(len(input_ids)), 1))
        return torch.zeros(len(input_ids), dtype=torch.bool)


class Transformers:
    """A model and `generate`."""

    def __init__(self, options: argparse.Namespace) -> None:
        torch.set_num_threads(options.threads)
        self._model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.bfloat16).eval()
        self._model.generation_config.eos_token_id = None  # nothing ends a sequence but its length
        self._model.generation_config.pad_token_id = 0

    def describe(self) -> dict[str, Any]:
        """Versions and weights."""
        versions = {"transformers": transformers.__version__, "torch": torch.__version__}
        return {"versions": versions, "weights": "bf16"}

    @torch.inference_mode()
    def decode(self, prompts: list[list[int]], tokens: int) -> dict[str, Any]:
        """All prompts have one length, so none is padded."""
        ids = torch.tensor(prompts)
        recorder = Recorder(len(prompts), tokens)
        self._model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=tokens,
            do_sample=False,
            stopping_criteria=StoppingCriteriaList([StepClock(recorder)]),
        )
        return recorder.answer()


if __name__ == "__main__":
    serve(Transformers)
