"""Figures of the rounds: a row for each workload and mode."""

import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.workloads.ideal import LEAST_SAVABLE, Ideal, ideal_of
from benchmarks.workloads.observed import Observed
from benchmarks.workloads.rounds import Samples

RESAMPLES = 2_000
Figure = Callable[[Observed], float]


@dataclass(frozen=True, slots=True)
class Spread:
    """Of the completions: median, 95th percentile, and the 95 % bootstrap interval of the median."""

    p50: float
    p95: float
    ci95: tuple[float, float]

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """Of one value or more."""
        return cls(statistics.median(values), float(np.percentile(values, 95)), interval(values))


@dataclass(frozen=True, slots=True)
class Row:
    """Seconds are medians. `saved_vs_…`: the median over the rounds of what was saved against another mode in the same
    round, as a share of it; None for that mode itself. Shares of the same round, because a machine has slow minutes.

    `attained` is the median share of the ideal saving (`ideal.py`). `attained_between` is the same from the medians of
    different completions, so that decoding which became slower beside tools counts, and so does noise. Completions that
    run at once have no ideal: their units in `serial` had others beside them.
    """

    workload: str
    mode: str
    trials: int
    completion_seconds: Spread
    decode_seconds: float
    tool_seconds: float
    hidden_seconds: float
    ideal_seconds: float | None
    saved_vs_serial: float | None
    saved_vs_on_seal: float | None
    saved_ci95: tuple[float, float] | None
    attained: float | None
    attained_ci95: tuple[float, float] | None
    attained_between: float | None
    savable_seconds: float | None

    def as_json(self) -> dict[str, Any]:
        """The row as data."""
        return asdict(self)


def rows_of(samples: Samples) -> list[Row]:
    """In the order in which they were measured."""
    return [row for name, by_mode in samples.rounds.items() for row in _rows(name, by_mode)]


def interval(values: list[float]) -> tuple[float, float]:
    """The 95 % bootstrap interval of the median."""
    drawn = np.random.default_rng(0).choice(values, (RESAMPLES, len(values)))
    low, high = np.percentile(np.median(drawn, axis=1), (2.5, 97.5))
    return float(low), float(high)


def _rows(name: str, by_mode: Mapping[str, list[list[Observed]]]) -> Iterator[Row]:
    serial = by_mode.get("serial", [])
    for mode, rounds in by_mode.items():
        every = [observed for completions in rounds for observed in completions]
        ideals = list(_ideals(rounds, serial)) if all(len(completions) == 1 for completions in rounds) else []
        saved = _savings(rounds, serial if mode != "serial" else [])
        over = _savings(rounds, by_mode.get("on_seal", []) if mode != "on_seal" else [])
        completion = Spread.of([observed.completion for observed in every])
        shares = [ideal.attained for ideal in ideals if ideal.attained is not None]
        yield Row(
            workload=name,
            mode=mode,
            trials=len(every),
            completion_seconds=completion,
            decode_seconds=_median(every, lambda observed: observed.decode),
            tool_seconds=_median(every, lambda observed: observed.tool),
            hidden_seconds=_median(every, lambda observed: observed.hidden),
            ideal_seconds=statistics.median(ideal.ideal for ideal in ideals) if ideals else None,
            saved_vs_serial=statistics.median(saved) if saved else None,
            saved_vs_on_seal=statistics.median(over) if over else None,
            saved_ci95=interval(saved) if saved else None,
            attained=statistics.median(shares) if shares else None,
            attained_ci95=interval(shares) if shares else None,
            attained_between=_between(every, [observed for completions in serial for observed in completions])
            if ideals
            else None,
            savable_seconds=statistics.median(ideal.serial - ideal.ideal for ideal in ideals) if ideals else None,
        )


def _ideals(rounds: list[list[Observed]], serial: list[list[Observed]]) -> Iterator[Ideal]:
    """Of each completion beside its like in `serial` in the same round."""
    for completions, beside in zip(rounds, serial, strict=False):
        for completion, alone in zip(completions, beside, strict=True):
            ideal = ideal_of(completion, alone)
            if ideal is not None:
                yield ideal


def _between(every: list[Observed], serial: list[Observed]) -> float | None:
    if not serial or any(observed.vetoed for observed in every):
        return None
    slowest, best = (_median(serial, figure) for figure in (lambda each: each.completion, lambda each: each.ideal))
    savable = slowest - best
    return (slowest - _median(every, lambda each: each.completion)) / savable if savable >= LEAST_SAVABLE else None


def _savings(rounds: list[list[Observed]], others: list[list[Observed]]) -> list[float]:
    return [
        1 - completion.completion / beside.completion
        for completions, besides in zip(rounds, others, strict=False)
        for completion, beside in zip(completions, besides, strict=True)
    ]


def _median(every: list[Observed], figure: Figure) -> float:
    return statistics.median(map(figure, every))
