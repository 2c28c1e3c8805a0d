"""vLLM's build for CPUs: bf16, its engine in this process, so that no hop between processes is on its account."""

import argparse
import itertools
import os
from typing import Any

os.environ |= {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "HF_HUB_OFFLINE": "1",
}

import torch
import vllm
from vllm import SamplingParams
from vllm.engine.arg_utils import EngineArgs
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine.llm_engine import LLMEngine

from benchmarks.decoding.program import SLACK, Recorder, serve

CONTEXT = 2048
STEP_TOKENS = 4096  # of prompts, so that 32 prompts go in one step


class Vllm:
    """Its engine, a step at a time; greedy, without turning tokens into text."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._ids = itertools.count()
        self._engine = LLMEngine.from_engine_args(
            EngineArgs(
                model=options.model,
                dtype="bfloat16",
                max_model_len=CONTEXT,
                max_num_seqs=options.sequences,
                max_num_batched_tokens=STEP_TOKENS,
                disable_log_stats=True,
            )
        )

    def describe(self) -> dict[str, Any]:
        """Versions and weights."""
        return {"versions": {"vllm": vllm.__version__, "torch": torch.__version__}, "weights": "bf16"}

    def decode(self, prompts: list[list[int]], tokens: int) -> dict[str, Any]:
        """Sequences that start early decode on until the last one is done, so that the batch stays full."""
        sampling = SamplingParams(
            temperature=0,
            ignore_eos=True,
            max_tokens=tokens + SLACK,
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
        )
        recorder = Recorder(len(prompts), tokens)
        places = {str(next(self._ids)): place for place in range(len(prompts))}
        for name, place in places.items():
            self._engine.add_request(name, {"prompt_token_ids": prompts[place]}, sampling)
        while not recorder.done and self._engine.has_unfinished_requests():
            outputs = {
                output.request_id: sum(len(o.token_ids) for o in output.outputs) for output in self._engine.step()
            }
            recorder.step({places[name]: count for name, count in outputs.items() if count})
        self._engine.abort_request(list(places))
        while self._engine.has_unfinished_requests():
            self._engine.step()
        return recorder.answer()


if __name__ == "__main__":
    serve(Vllm)
