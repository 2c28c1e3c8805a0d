"""What a long prompt costs those who decode beside it: `python -m benchmarks.joins`.

8 sequences decode in our own engine, and one with a prompt of 2,000 tokens joins them; then 8 decode as many steps
`alone`. `during` and `after` are the milliseconds of the steps that decode all 8 of them while chunks of the prompt run
in the same steps, and when it is done and decodes too.

A busy machine makes single steps long, with a prompt or without. So each place in the prompt counts with the median of
all rounds there: no place may lengthen the step to more than 2 times the median of the steps alone; the exit code is 1
if one does. How many single steps take longer than that is shown for both. Prompts are random tokens, fresh in every
round. The first round is not counted. The run is recorded in `benchmarks/results`.
"""

import contextlib
import itertools
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from benchmarks import record
from benchmarks.decoding.embedded import Embedded
from benchmarks.decoding.own_engine import (
    WrongMeasurementError,
    engine_of,
    parsed,
    parser_of,
    record_run,
    refuse_failures,
    telling_errors,
)
from benchmarks.decoding.rounds import PromptSource
from decoder_service.engine.messages import Begin, Decoded, Release, Sampling, TurnSpec

RUNNING, SHORT, LONG = 8, 64, 2000  # sequences that decode; tokens of their prompts and of the one that joins
BEFORE, AFTER = 24, 16  # steps
MOST_RATIO = 2.0
MOST_STEPS = 2000  # in which a prompt must be done


@dataclass(frozen=True, slots=True)
class Steps:
    """Milliseconds of the steps of one round."""

    during: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Joins:
    """All rounds."""

    rounds: list[Steps]

    @property
    def usual(self) -> float:
        """The median of the steps of the 8 alone."""
        return statistics.median(itertools.chain.from_iterable(each.alone for each in self.rounds))

    @property
    def places(self) -> list[float]:
        """The median of all rounds at each place in the prompt, from its beginning to its end."""
        most = max(len(each.during) for each in self.rounds)
        return [
            statistics.median(each.during[place * len(each.during) // most] for each in self.rounds)
            for place in range(most)
        ]

    @property
    def ratio(self) -> float:
        """The longest of these over the usual step."""
        return max(self.places) / self.usual

    def summary(self, steps: Steps) -> dict[str, dict[str, float]]:
        """What is recorded of a round."""
        return {
            name: {
                "steps": len(each),
                "median": round(statistics.median(each), 2),
                "most": round(max(each), 2),
                "beyond": round(self.beyond(each), 4),
            }
            for name, each in (("alone", steps.alone), ("during", steps.during), ("after", steps.after))
        }

    def beyond(self, steps: list[float]) -> float:
        """The share of steps that take longer than they should."""
        return sum(each > MOST_RATIO * self.usual for each in steps) / len(steps)


class Round:
    """8 sequences that decode, and one that joins."""

    def __init__(self, embedded: Embedded, ids: "itertools.count[int]") -> None:
        self._engine = embedded.engine
        self._ids = ids
        self._here: list[int] = []

    def joined(self, prompts: PromptSource) -> Steps:
        """With a prompt. Raises WrongMeasurementError where somebody who decodes is left out of a step."""
        steps = Steps()
        decoding = self._decoding(prompts)
        (joining,) = self._begin_all(prompts, 1, LONG)
        for _ in range(MOST_STEPS):
            milliseconds, out = self._full_step(decoding)
            steps.during.append(milliseconds)
            if joining in out:
                break
        else:
            raise WrongMeasurementError(f"the prompt was not done within {MOST_STEPS} steps")
        for _ in range(AFTER):
            steps.after.append(self._full_step(decoding | {joining})[0])
        return steps

    def alone(self, prompts: PromptSource, count: int) -> list[float]:
        """So many steps without a prompt. Raises WrongMeasurementError likewise."""
        decoding = self._decoding(prompts)
        return [self._full_step(decoding)[0] for _ in range(count)]

    def _decoding(self, prompts: PromptSource) -> set[int]:
        """8 that have decoded for a while."""
        decoding = self._begin_all(prompts, RUNNING, SHORT)
        waiting = set(decoding)
        while waiting:
            waiting -= self._step()[1].keys()
        for _ in range(BEFORE):
            self._full_step(decoding)
        return decoding

    def close(self) -> None:
        """Forgets all of them."""
        while self._here:
            self._engine.execute(Release(self._here.pop()))

    def _begin_all(self, prompts: PromptSource, count: int, tokens: int) -> set[int]:
        return {self._begin(prompt) for prompt in prompts.draw(count, tokens)}

    def _begin(self, prompt: list[int]) -> int:
        self._here.append(next(self._ids))
        turn = TurnSpec(max_tokens=BEFORE + AFTER + MOST_STEPS)
        refuse_failures(self._engine.execute(Begin(self._here[-1], tuple(prompt), Sampling(), turn)))
        return self._here[-1]

    def _full_step(self, decoding: set[int]) -> tuple[float, dict[int, int]]:
        milliseconds, out = self._step()
        if not out.keys() >= decoding:
            raise WrongMeasurementError(f"{len(decoding - out.keys())} of {len(decoding)} got no token in a step")
        return milliseconds, out

    def _step(self) -> tuple[float, dict[int, int]]:
        """Its milliseconds, and the tokens by sequence."""
        began = time.perf_counter()
        outputs = self._engine.step()
        milliseconds = (time.perf_counter() - began) * 1000
        refuse_failures(outputs)
        return milliseconds, {output.id: len(output.tokens) for output in outputs if isinstance(output, Decoded)}


def measure(embedded: Embedded, prompts: PromptSource, rounds: int, say: Callable[[str], None]) -> Joins:
    """So many rounds, after one that is not counted."""
    found, ids = [], itertools.count(1)
    for number in range(rounds + 1):
        say(f"round {number} of {rounds}")
        with contextlib.closing(Round(embedded, ids)) as one:
            steps = one.joined(prompts)
        with contextlib.closing(Round(embedded, ids)) as one:
            steps.alone.extend(one.alone(prompts, len(steps.during)))
        if number:
            found.append(steps)
    return Joins(found)


@telling_errors
def main(arguments: list[str] | None = None) -> int:
    """Measures, prints a table, records the run; gives the exit code."""
    options = parsed(parser_of("joins", __doc__, rounds=9), arguments)
    console = Console()
    machine = record.machine()
    embedded = engine_of(options, sequences=RUNNING + 1)
    with console.status("") as status:
        joins = measure(embedded, PromptSource(embedded.tokenizer, options.seed), options.rounds, status.update)
    _print(console, joins)
    figures = {
        "rounds": [joins.summary(each) for each in joins.rounds],
        "usual": round(joins.usual, 2),
        "places": [round(each, 2) for each in joins.places],
        "ratio": joins.ratio,
        "most_ratio": MOST_RATIO,
    }
    record_run("joins", options, machine, embedded.weights, figures, console)
    return int(joins.ratio > MOST_RATIO)


def _print(console: Console, joins: Joins) -> None:
    title = f"Milliseconds of a step of {RUNNING} sequences, median (most); a prompt of {LONG} tokens joins"
    table = Table(box=None, title=title, title_justify="left")
    for column in ("round", "steps", "alone", "during", "after", f"> {MOST_RATIO:g}× alone", "during"):
        table.add_column(column, justify="right", no_wrap=True)
    for number, steps in enumerate(joins.rounds, 1):
        summary = joins.summary(steps)
        cells = [f"{each['median']:.1f} ({each['most']:.1f})" for each in summary.values()]
        beyond = [f"{summary[name]['beyond']:.1%}" for name in ("alone", "during")]
        table.add_row(str(number), str(len(steps.during)), *cells, *beyond)
    console.print(table)
    missed = " MISSED" if joins.ratio > MOST_RATIO else ""
    longest = f"the longest place in the prompt {max(joins.places):.1f}, the usual step alone {joins.usual:.1f}"
    console.print(f"{longest}: {joins.ratio:.2f} (≤ {MOST_RATIO:g}{missed})", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
