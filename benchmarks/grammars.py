"""What a grammar costs a step: `python -m benchmarks.grammars`.

Eight sequences answer the same prompts, freely and under a grammar: a JSON schema for a list of calls, with names to
choose from, strings and numbers, too long to be complete before the turn ends. They take the likeliest token, for which
a grammar is mostly asked about that one, or draw it, for which it is asked about all. Rounds of all four go in turn, in
our own engine; nothing is drafted, so every step decodes a token of each sequence. The median step under the grammar
may take at most 5 % longer; the exit code is 1 if it does. The run is recorded in `benchmarks/results`.

The engine has as many threads as the decoder gives it by default: all cores but one, on which what may come next is
found beside the steps. With `--threads` for all cores everything is found between them.
"""

import argparse
import itertools
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    refuse_failures,
    telling_errors,
)
from benchmarks.decoding.rounds import PromptSource
from decoder_service.engine.messages import Begin, Decoded, Output, Release, Sampling, TurnEnded, TurnSpec
from decoder_service.text.grammar_text import GrammarText

SEQUENCES, PROMPT = 8, 64  # tokens of a prompt
TEMPERATURES = {"the likeliest": 0.0, "drawn": 1.0}
MOST_OVERHEAD = 0.05
CALL = {
    "type": "object",
    "properties": {
        "name": {"enum": ["search", "searches", "python", "calculator"]},
        "text": {"type": "string", "maxLength": 40},
        "count": {"type": "integer", "minimum": 0, "maximum": 999},
    },
    "required": ["name", "text", "count"],
    "additionalProperties": False,
}
SCHEMA = json.dumps({"type": "array", "items": CALL, "minItems": 1000})


@dataclass(frozen=True, slots=True)
class Steps:
    """The median step of each round, in milliseconds."""

    free: list[float]
    constrained: list[float]

    @property
    def overhead(self) -> float:
        """What the grammar adds, as a share of a step without: the median of the rounds."""
        return statistics.median(c / f for c, f in zip(self.constrained, self.free, strict=True)) - 1


class Batch:
    """Batches of sequences, one after the other, in an engine that has nothing else to do."""

    def __init__(self, embedded: Embedded, tokens: int) -> None:
        self._embedded = embedded
        self._engine = embedded.engine
        self._tokens = tokens
        self._ids = itertools.count(1)

    def median_step(self, prompts: Sequence[list[int]], temperature: float, schema: str | None) -> float:
        """Milliseconds of the steps in which all sequences decode. Raises WrongMeasurementError."""
        own = [next(self._ids) for _ in prompts]
        for id_, prompt in zip(own, prompts, strict=True):
            grammar = self._embedded.compiler.compile(GrammarText("json_schema", schema)) if schema else None
            begin = Begin(id_, tuple(prompt), Sampling(temperature, seed=id_), TurnSpec(self._tokens))
            _refuse(self._engine.execute(begin, grammar))
        seconds = list(self._steps(len(own)))
        for id_ in own:
            self._engine.execute(Release(id_))
        if len(seconds) < 2:  # the first has the end of the prompts in it
            raise WrongMeasurementError(f"no step had all {len(own)} sequences decode: give more --tokens")
        return statistics.median(seconds[1:]) * 1000

    def _steps(self, count: int) -> Iterator[float]:
        while self._engine.busy():
            began = time.perf_counter()
            outputs = _refuse(self._engine.step())
            if sum(isinstance(output, Decoded) for output in outputs) == count:
                yield time.perf_counter() - began


def measure(batch: Batch, prompts: PromptSource, rounds: int, say: Callable[[str], None]) -> dict[str, Steps]:
    """All in turn, after one round that is not counted."""
    steps = {name: Steps([], []) for name in TEMPERATURES}
    for number in range(rounds + 1):
        say(f"round {number} of {rounds}")
        for name, temperature in TEMPERATURES.items():
            drawn = prompts.draw(SEQUENCES, PROMPT)
            for schema in (None, SCHEMA) if number % 2 else (SCHEMA, None):
                milliseconds = batch.median_step(drawn, temperature, schema)
                if number:
                    (steps[name].constrained if schema else steps[name].free).append(milliseconds)
    return steps


def _refuse(outputs: list[Output]) -> list[Output]:
    for output in refuse_failures(outputs):
        if isinstance(output, TurnEnded) and output.reason != "length":
            raise WrongMeasurementError(f"a turn ended with {output.reason!r}, not at its length")
    return outputs


@telling_errors
def main(arguments: list[str] | None = None) -> int:
    """Measures, prints a table, records the run; gives the exit code."""
    options = _options(arguments)
    console = Console()
    machine = record.machine()
    embedded = engine_of(options, SEQUENCES)
    prompts = PromptSource(embedded.tokenizer, options.seed)
    with console.status("") as status:
        steps = measure(Batch(embedded, options.tokens), prompts, options.rounds, status.update)
    embedded.engine.close()
    _print(console, steps)
    figures = {name: {"milliseconds": asdict(each), "overhead": each.overhead} for name, each in steps.items()}
    content = {"tokens": options.tokens, "most_overhead": MOST_OVERHEAD, "steps": figures}
    record_run("grammars", options, machine, embedded.weights, content, console)
    return int(any(each.overhead > MOST_OVERHEAD for each in steps.values()))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = parser_of("grammars", __doc__)
    parser.add_argument("--tokens", metavar="N", type=int, default=64, help="of a turn; default: 64")
    parser.set_defaults(threads=max(1, len(os.sched_getaffinity(0)) - 1))
    options = parsed(parser, arguments)
    if options.tokens < 4:
        parser.error("--tokens must be 4 or more")
    return options


def _print(console: Console, steps: Mapping[str, Steps]) -> None:
    title = f"Milliseconds of a step of {SEQUENCES} sequences: median of the rounds (least–most)"
    table = Table(box=None, title=title, title_justify="left")
    for column in ("tokens are", "free", "under a grammar", "overhead"):
        table.add_column(column, justify="left" if column == "tokens are" else "right", no_wrap=True)
    for name, each in steps.items():
        cells = (f"{s.median:.2f} ({s.least:.2f}–{s.most:.2f})" for s in map(Spread.of, (each.free, each.constrained)))
        missed = " MISSED" if each.overhead > MOST_OVERHEAD else ""
        table.add_row(name, *cells, f"{each.overhead:+.1%} (≤ {MOST_OVERHEAD:.0%}{missed})")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
