"""From a tool's result to the next token: `python -m benchmarks.turns`.

A sequence of 1,000 tokens decodes a turn and is parked, its keys and values kept. Then the result of its tool comes,
30 tokens: `parked` is the time from there to the next token. `again` is what a decoder without parking needs: the whole
conversation as a new prompt, none of it in a cache. Rounds of both go in turn, in our own engine, with random tokens.
The median of `again` must be at least 10 times that of `parked`; the exit code is 1 if it is not. The run is recorded
in `benchmarks/results`.
"""

import itertools
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

from benchmarks import record
from benchmarks.decoding.embedded import Embedded
from benchmarks.decoding.figures import Spread
from benchmarks.decoding.own_engine import (
    WrongMeasurementError,
    engine_of,
    parsed,
    parser_of,
    record_run,
    telling_errors,
)
from benchmarks.decoding.rounds import PromptSource
from decoder_service.engine.messages import (
    Begin,
    Command,
    Decoded,
    Failed,
    Release,
    Resume,
    Sampling,
    TurnBegan,
    TurnSpec,
)

CONTEXT, TURN, RESULT = 1000, 16, 30  # tokens
LEAST_RATIO = 10.0


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds to the next token, round by round."""

    parked: list[float]
    again: list[float]

    @property
    def ratio(self) -> float:
        """The median of computing all of it again, over that of going on."""
        return Spread.of(self.again).median / Spread.of(self.parked).median


class Conversation:
    """One sequence at a time in an engine that has nothing else to do."""

    def __init__(self, embedded: Embedded) -> None:
        self._engine = embedded.engine
        self._ids = itertools.count(1)
        self._id = 0

    def begin(self, prompt: list[int], tokens: int) -> float:
        """A new sequence; runs its turn of so many tokens. Seconds to the first. Raises WrongMeasurementError."""
        self._id = next(self._ids)
        return self._turn(Begin(self._id, tuple(prompt), Sampling(), TurnSpec(tokens)), tokens, cached=0)

    def resume(self, result: list[int], tokens: int, cached: int) -> float:
        """The next turn, after a tool's result. Raises WrongMeasurementError where fewer tokens were still there."""
        return self._turn(Resume(self._id, tuple(result), TurnSpec(tokens)), tokens, cached)

    def release(self) -> None:
        """Forgets the sequence."""
        self._engine.execute(Release(self._id))

    def _turn(self, command: Command, tokens: int, cached: int) -> float:
        began, first, decoded = time.perf_counter(), None, 0
        outputs = self._engine.execute(command)
        while True:
            for output in outputs:
                match output:
                    case Decoded():
                        first = first or time.perf_counter() - began
                        decoded += len(output.tokens)
                    case TurnBegan():
                        _check(output.cached_tokens, cached)
                    case Failed():
                        raise WrongMeasurementError(output.message)
            if first is not None and decoded >= tokens:
                return first
            if not self._engine.busy():
                raise WrongMeasurementError(f"the engine ended a turn after {decoded} of {tokens} tokens")
            outputs = self._engine.step()


def _check(cached: int, wanted: int) -> None:
    """A turn goes on with so many tokens or more in the cache; a new prompt with none."""
    if cached < wanted or (cached and not wanted):
        raise WrongMeasurementError(f"{cached} tokens were in the cache, not {wanted}")


def measure(embedded: Embedded, prompts: PromptSource, rounds: int, say: Callable[[str], None]) -> Times:
    """Both ways in turn, after one round that is not counted."""
    times = Times([], [])
    conversation = Conversation(embedded)
    for number in range(rounds + 1):
        say(f"round {number} of {rounds}")
        ways = [(times.parked, _parked), (times.again, _again)]
        for samples, way in ways if number % 2 else reversed(ways):
            milliseconds = way(conversation, prompts) * 1000
            conversation.release()
            if number:
                samples.append(milliseconds)
    return times


def _parked(conversation: Conversation, prompts: PromptSource) -> float:
    (prompt,), (result,) = prompts.draw(1, CONTEXT), prompts.draw(1, RESULT)
    conversation.begin(prompt, TURN)
    return conversation.resume(result, 1, cached=CONTEXT)


def _again(conversation: Conversation, prompts: PromptSource) -> float:
    """A conversation that nobody has seen takes the same work, and no cache of prompts can help."""
    (whole,) = prompts.draw(1, CONTEXT + TURN + RESULT)
    return conversation.begin(whole, 1)


@telling_errors
def main(arguments: list[str] | None = None) -> int:
    """Measures, prints a table, records the run; gives the exit code."""
    options = parsed(parser_of("turns", __doc__), arguments)
    console = Console()
    machine = record.machine()
    embedded = engine_of(options, sequences=1)
    with console.status("") as status:
        times = measure(embedded, PromptSource(embedded.tokenizer, options.seed), options.rounds, status.update)
    _print(console, times)
    figures = {"milliseconds": asdict(times), "ratio": times.ratio, "least_ratio": LEAST_RATIO}
    record_run("turns", options, machine, embedded.weights, figures, console)
    return int(times.ratio < LEAST_RATIO)


def _print(console: Console, times: Times) -> None:
    table = Table(box=None, title="Milliseconds to the next token: median (least–most)", title_justify="left")
    for column in ("", f"after a result of {RESULT} tokens, at {CONTEXT + TURN} tokens of context"):
        table.add_column(column, justify="left" if not column else "right", no_wrap=True)
    for name, values in asdict(times).items():
        spread = Spread.of(values)
        table.add_row(name, f"{spread.median:.1f} ({spread.least:.1f}–{spread.most:.1f})")
    missed = " MISSED" if times.ratio < LEAST_RATIO else ""
    table.add_row("ratio", f"{times.ratio:.1f} (≥ {LEAST_RATIO:g}{missed})")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
