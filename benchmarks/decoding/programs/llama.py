"""llama.cpp: a GGUF file's own weights, parallel sequences in one cache, greedy."""

import argparse
import ctypes
from typing import Any

import llama_cpp
import numpy as np

from benchmarks.decoding.program import Recorder, serve

BATCH_TOKENS = 2048
TOKENS_EACH = 256  # of cache for a sequence of a full batch; a lone one has it all


class LlamaCpp:
    """A context and one batch that is filled anew for each step."""

    def __init__(self, options: argparse.Namespace) -> None:
        llama_cpp.llama_backend_init()
        self._model = llama_cpp.llama_model_load_from_file(
            options.model.encode(), llama_cpp.llama_model_default_params()
        )
        if not self._model:
            raise RuntimeError(f"llama.cpp cannot load {options.model}")
        self._context = llama_cpp.llama_init_from_model(self._model, self._parameters(options))
        if not self._context:
            raise RuntimeError("llama.cpp cannot make a context")
        self._vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self._model))
        self._batch = llama_cpp.llama_batch_init(BATCH_TOKENS, 0, 1)

    def _parameters(self, options: argparse.Namespace) -> llama_cpp.llama_context_params:
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = max(BATCH_TOKENS, options.sequences * TOKENS_EACH)
        parameters.n_batch = BATCH_TOKENS
        parameters.n_seq_max = options.sequences
        parameters.kv_unified = True
        parameters.n_threads = parameters.n_threads_batch = options.threads
        return parameters

    def describe(self) -> dict[str, Any]:
        """Versions, weights, and the instructions that it was compiled for."""
        text = llama_cpp.llama_print_system_info().decode()
        used = [part.split("=")[0].strip() for part in text.split("|") if part.strip().endswith("= 1")]
        weights = ctypes.create_string_buffer(128)
        llama_cpp.llama_model_desc(self._model, weights, len(weights))
        return {
            "versions": {"llama-cpp-python": llama_cpp.__version__},
            "weights": weights.value.decode(),
            "instructions": " ".join(used),
        }

    def decode(self, prompts: list[list[int]], tokens: int) -> dict[str, Any]:
        """The prompts one after the other as far as a batch holds, then a token of each in every step."""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._context), True)
        recorder = Recorder(len(prompts), tokens)
        newest = self._prefill(prompts)
        recorder.step(dict.fromkeys(range(len(prompts)), 1))
        position = len(prompts[0])
        while not recorder.done:
            rows = [(token, position, place, True) for place, token in enumerate(newest)]
            newest = self._run(rows)
            position += 1
            recorder.step(dict.fromkeys(range(len(prompts)), 1))
        return recorder.answer()

    def _prefill(self, prompts: list[list[int]]) -> list[int]:
        rows = [
            (token, position, place, position == len(prompt) - 1)
            for place, prompt in enumerate(prompts)
            for position, token in enumerate(prompt)
        ]
        pieces = (rows[start : start + BATCH_TOKENS] for start in range(0, len(rows), BATCH_TOKENS))
        return [token for piece in pieces for token in self._run(piece)]

    def _run(self, rows: list[tuple[int, int, int, bool]]) -> list[int]:
        """One pass over (token, position, sequence, whether its next one is wanted); the likeliest next ones."""
        batch = self._batch
        batch.n_tokens = len(rows)
        for index, (token, position, sequence, wanted) in enumerate(rows):
            batch.token[index] = token
            batch.pos[index] = position
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = sequence
            batch.logits[index] = wanted
        status = llama_cpp.llama_decode(self._context, batch)
        if status:
            raise RuntimeError(f"llama_decode gave {status}")
        return [self._likeliest(index) for index, row in enumerate(rows) if row[3]]

    def _likeliest(self, index: int) -> int:
        logits = llama_cpp.llama_get_logits_ith(self._context, index)
        return int(np.ctypeslib.as_array(logits, shape=(self._vocabulary,)).argmax())


if __name__ == "__main__":
    serve(LlamaCpp)
