"""What the samples come to: medians, spreads, ratios, and the bounds that must hold.

Tokens a second are those that came out in the steps that count, over the time of these steps: nothing of the prompts is
in it. A round gives one value for each batch; the median of the rounds is the figure, smallest and largest its spread.
"""

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks.decoding.decoders import OURS
from benchmarks.decoding.process import Answer
from benchmarks.decoding.rounds import Samples
from decoder_service.models.catalogue import DEFAULT

# Least ratio of our tokens a second to a peer's, by batch; for the default model.
RATIOS: Mapping[str, Mapping[int, float]] = {
    "transformers": {1: 2.0, 8: 1.3, 16: 1.3, 32: 1.3},
    "vllm": {1: 1.5, 4: 1.0, 8: 1.0, 16: 1.0, 32: 1.0},
    "llama.cpp": {1: 1.2, 4: 1.2},
}
# Least tokens a second of one sequence, by model.
RATES: Mapping[str, float] = {"qwen2.5-coder-1.5b": 12.0}


@dataclass(frozen=True, slots=True)
class Spread:
    """A median over rounds, with the smallest and the largest."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """Of one value or more."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class BatchFigures:
    """One decoder at one batch size. `p50`, `p99`: milliseconds of a step, over all rounds; `first`: milliseconds until
    every sequence had its first token."""

    rate: Spread
    p50: float
    p99: float
    first: Spread


@dataclass(frozen=True, slots=True)
class Bound:
    """`value` must be `least` or more. `peer` is None where our own rate is bounded, not a ratio."""

    peer: str | None
    batch: int
    value: float
    least: float

    @property
    def holds(self) -> bool:
        """Whether it does."""
        return self.value >= self.least


def batch_figures(answers: list[Answer]) -> BatchFigures:
    """Of the rounds of one batch."""
    steps = sorted(step for answer in answers for step in answer.steps)
    return BatchFigures(
        rate=Spread.of([sum(answer.tokens) / sum(answer.steps) for answer in answers]),
        p50=statistics.median(steps) * 1000,
        p99=steps[len(steps) * 99 // 100] * 1000,
        first=Spread.of([answer.first * 1000 for answer in answers]),
    )


def decoder_figures(samples: Samples) -> dict[int, BatchFigures]:
    """By batch size, of those that were measured at least once."""
    return {size: batch_figures(answers) for size, answers in samples.batches.items()}


def prefill_rate(samples: Samples, tokens: int) -> Spread | None:
    """Prompt tokens a second."""
    return Spread.of([tokens / seconds for seconds in samples.prefills]) if samples.prefills else None


def ratio(figures: Mapping[str, Mapping[int, BatchFigures]], peer: str, batch: int) -> float | None:
    """Our median rate over a peer's; None where one of them is not there."""
    ours, theirs = figures.get(OURS, {}).get(batch), figures.get(peer, {}).get(batch)
    return ours.rate.median / theirs.rate.median if ours and theirs else None


def bounds(model: str, figures: Mapping[str, Mapping[int, BatchFigures]]) -> list[Bound]:
    """Those that apply to what was measured."""
    found = list(_ratios(figures)) if model == DEFAULT else []
    if model in RATES and (alone := figures.get(OURS, {}).get(1)):
        found.append(Bound(None, 1, alone.rate.median, RATES[model]))
    return found


def _ratios(figures: Mapping[str, Mapping[int, BatchFigures]]) -> Iterator[Bound]:
    for peer, least in RATIOS.items():
        for batch, bound in least.items():
            value = ratio(figures, peer, batch)
            if value is not None:
                yield Bound(peer, batch, value, bound)
