"""What a long prompt costs those who decode beside it: `python -m benchmarks.joins`.

8 sequences decode in our own engine; then one with a prompt of 2,000 tokens joins them. `before`, `during` and `after`
are the milliseconds of the steps that decode all 8 of them: before it came, while chunks of its prompt run in the same
steps, and when its prompt is done and it decodes too. No step of `during` may take longer than 2 times the median of
the steps without a prompt; the exit code is 1 if one does. Prompts are random tokens, fresh in every round. The first
round is not counted. The run is recorded in `benchmarks/results`.
"""

import itertools
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

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

    before: list[float] = field(default_factory=list)
    during: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Of the steps without a prompt, of the 8 alone."""
        return statistics.median(self.before)

    @property
    def ratio(self) -> float:
        """The longest step with a chunk of the prompt over that."""
        return max(self.during) / self.median


class Round:
    """8 sequences that decode, and one that joins."""

    def __init__(self, embedded: Embedded, ids: "itertools.count[int]") -> None:
        self._engine = embedded.engine
        self._ids = ids
        self._here: list[int] = []

    def run(self, prompts: PromptSource) -> Steps:
        """Raises WrongMeasurementError where somebody who decodes is left out of a step."""
        steps = Steps()
        waiting = {self._begin(prompt) for prompt in prompts.draw(RUNNING, SHORT)}
        while waiting:
            waiting -= self._step()[1].keys()
        decoding = set(self._here)
        for _ in range(BEFORE):
            steps.before.append(self._full_step(decoding)[0])
        (joining,) = {self._begin(prompt) for prompt in prompts.draw(1, LONG)}
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

    def release(self) -> None:
        """Forgets all of them."""
        while self._here:
            self._engine.execute(Release(self._here.pop()))

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


def measure(embedded: Embedded, prompts: PromptSource, rounds: int, say: Callable[[str], None]) -> list[Steps]:
    """So many rounds, after one that is not counted."""
    found, ids = [], itertools.count(1)
    for number in range(rounds + 1):
        say(f"round {number} of {rounds}")
        one = Round(embedded, ids)
        try:
            steps = one.run(prompts)
        finally:
            one.release()
        if number:
            found.append(steps)
    return found


@telling_errors
def main(arguments: list[str] | None = None) -> int:
    """Measures, prints a table, records the run; gives the exit code."""
    options = parsed(parser_of("joins", __doc__, rounds=5), arguments)
    console = Console()
    machine = record.machine()
    embedded = engine_of(options, sequences=RUNNING + 1)
    with console.status("") as status:
        rounds = measure(embedded, PromptSource(embedded.tokenizer, options.seed), options.rounds, status.update)
    longest = max(each.ratio for each in rounds)
    _print(console, rounds, longest)
    figures = {"milliseconds": [asdict(each) for each in rounds], "ratio": longest, "most_ratio": MOST_RATIO}
    record_run("joins", options, machine, embedded.weights, figures, console)
    return int(longest > MOST_RATIO)


def _print(console: Console, rounds: list[Steps], longest: float) -> None:
    title = f"Milliseconds of a step of {RUNNING} sequences, median (most); a prompt of {LONG} tokens joins"
    table = Table(box=None, title=title, title_justify="left")
    for column in ("round", "before", "during", "steps", "after", "longest / median"):
        table.add_column(column, justify="right", no_wrap=True)
    for number, steps in enumerate(rounds, 1):
        cells = [
            f"{statistics.median(each):.1f} ({max(each):.1f})" for each in (steps.before, steps.during, steps.after)
        ]
        table.add_row(str(number), *cells[:2], str(len(steps.during)), cells[2], f"{steps.ratio:.2f}")
    console.print(table)
    missed = " MISSED" if longest > MOST_RATIO else ""
    console.print(f"longest / median: {longest:.2f} (≤ {MOST_RATIO:g}{missed})", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
