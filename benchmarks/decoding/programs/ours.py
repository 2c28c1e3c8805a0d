"""Our engine as the decoder makes it: scheduler, forward pass, sampling, and tokens turned into text."""

import argparse
import importlib.metadata
import itertools
from typing import Any

from benchmarks.decoding.embedded import embedded_engine
from benchmarks.decoding.program import SLACK, Recorder, serve
from decoder_service.engine.messages import Begin, Decoded, Failed, Output, Release, Sampling, TurnSpec


class Ours:
    """The engine without its thread, a step at a time; greedy."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._ids = itertools.count(1)
        self._embedded = embedded_engine(
            options.model, options.dtype, options.quantization, options.threads, options.sequences
        )

    def describe(self) -> dict[str, Any]:
        """Versions and weights."""
        versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers")}
        return {"versions": versions, "weights": self._embedded.weights}

    def decode(self, prompts: list[list[int]], tokens: int) -> dict[str, Any]:
        """Sequences that start early decode on until the last one is done, so that the batch stays full."""
        engine = self._embedded.engine
        recorder = Recorder(len(prompts), tokens)
        places = {next(self._ids): place for place in range(len(prompts))}
        for id_, place in places.items():
            begin = Begin(id_, tuple(prompts[place]), Sampling(), TurnSpec(max_tokens=tokens + SLACK))
            _refuse_failures(engine.execute(begin))
        while not recorder.done and engine.busy():
            counts = dict.fromkeys(places.values(), 0)
            for output in _refuse_failures(engine.step()):
                if isinstance(output, Decoded):
                    counts[places[output.id]] += len(output.tokens)
            recorder.step({place: count for place, count in counts.items() if count})
        for id_ in places:
            engine.execute(Release(id_))
        return recorder.answer()


def _refuse_failures(outputs: list[Output]) -> list[Output]:
    for output in outputs:
        if isinstance(output, Failed):
            raise RuntimeError(output.message)
    return outputs


if __name__ == "__main__":
    serve(Ours)
