"""What drafts and forced tokens save: `python -m benchmarks.speculation`.

One sequence decodes, in an engine with speculation and in one without. `call`: a call in the format `hermes`, under
the grammar of `tool_choice`, which forces a good part of it. `result`: a text that repeats what is in its prompt, as
answers to a tool's result do. `random`: what follows random tokens, where there is little to be guessed and nothing may
be lost. Rounds of both engines go in turn, with the prompts' keys and values in the cache. Tokens a second count from
the beginning of the turn to its end. A call must come at least 1.3 times as fast, and nothing may take 5 % longer; the
exit code is 1 if that is not so. The run is recorded in `benchmarks/results`.
"""

import itertools
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

from rich.console import Console
from rich.table import Table

from benchmarks import record
from benchmarks.decoding.embedded import Embedded
from benchmarks.decoding.figures import Spread
from benchmarks.decoding.own_engine import (
    engine_of,
    parsed,
    parser_of,
    record_run,
    refuse_failures,
    telling_errors,
)
from benchmarks.decoding.rounds import PromptSource
from decoder_service.engine.messages import Begin, Decoded, Release, Sampling, TurnEnded, TurnSpec
from decoder_service.text.grammar import Grammar
from decoder_service.text.grammar_text import GrammarText
from tool_service.formats import FORMATS
from tool_service.formats.format import ToolSchema

TOKENS, PROMPT = 96, 64
LEAST: Mapping[str, float] = {"call": 1.3, "result": 0.95, "random": 0.95}
TOOL = ToolSchema(
    "find_connections",
    "Finds train connections.",
    {
        "type": "object",
        "properties": {
            "departure_station": {"type": "string", "maxLength": 24},
            "arrival_station": {"type": "string", "maxLength": 24},
            "departure_date": {"type": "string", "format": "date"},
            "passengers": {"type": "integer", "minimum": 1, "maximum": 9},
            "travel_class": {"enum": ["first", "second"]},
        },
        "required": ["departure_station", "arrival_station", "departure_date", "passengers", "travel_class"],
        "additionalProperties": False,
    },
)
QUESTION = "Find a train from Hamburg to Vienna on 2026-03-14 for two passengers, second class.\n"
LIST = "".join(
    f"{n}. The train to {city} leaves at {n}:15 from platform {n}.\n"
    for n, city in enumerate(("Vienna", "Hamburg", "Berlin", "Munich", "Salzburg", "Zurich"), 1)
)
RESULT = f"The timetable says:\n{LIST}\nI repeat the timetable word for word:\n1. The train to Vienna"


@dataclass(frozen=True, slots=True)
class Rates:
    """Tokens a second, round by round; `steps`: tokens of a step, over the rounds with speculation."""

    plain: list[float] = field(default_factory=list)
    speculating: list[float] = field(default_factory=list)
    tokens_a_step: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """How many times as fast speculation is: the median of the rounds."""
        return statistics.median(s / p for s, p in zip(self.speculating, self.plain, strict=True))


class Work:
    """The prompts, and the grammars of the turns that answer them."""

    def __init__(self, prompts: PromptSource, embedded: Embedded) -> None:
        self._prompts = prompts
        self._tokenizer = embedded.tokenizer
        self._compiler = embedded.compiler

    def prompt(self, name: str) -> list[int]:
        """Tokens; for `random` others every time."""
        if name == "random":
            return self._prompts.draw(1, PROMPT)[0]
        text = QUESTION if name == "call" else RESULT
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def grammar(self, name: str) -> Grammar | None:
        """One's own: grammars have a state."""
        if name != "call":
            return None
        return self._compiler.compile(GrammarText("lark", FORMATS["hermes"].grammar([TOOL])))


class Alone:
    """Sequences one after the other in an engine that has nothing else to do."""

    def __init__(self, embedded: Embedded) -> None:
        self._engine = embedded.engine
        self._ids = itertools.count(1)

    def decode(self, prompt: list[int], most: int, grammar: Grammar | None = None) -> tuple[float, float]:
        """Tokens a second and tokens a step, of a turn of `most` tokens at most. Raises WrongMeasurementError."""
        id_, steps, tokens = next(self._ids), 0, 0
        began = time.perf_counter()
        outputs = self._engine.execute(Begin(id_, tuple(prompt), Sampling(), TurnSpec(most)), grammar)
        while not any(isinstance(output, TurnEnded) for output in outputs):
            outputs = self._engine.step()
            for output in refuse_failures(outputs):
                if isinstance(output, Decoded):
                    tokens, steps = tokens + len(output.tokens), steps + 1
        seconds = time.perf_counter() - began
        self._engine.execute(Release(id_))
        return tokens / seconds, tokens / steps


def measure(
    plain: Embedded, speculating: Embedded, prompts: PromptSource, rounds: int, say: Callable[[str], None]
) -> dict[str, Rates]:
    """Both engines in turn, after one round that is not counted; each turn once before, so that its prompt is there."""
    rates = {name: Rates() for name in LEAST}
    work, engines = Work(prompts, plain), {"plain": Alone(plain), "speculating": Alone(speculating)}
    for number in range(rounds + 1):
        say(f"round {number} of {rounds}")
        for name, each in rates.items():
            prompt = work.prompt(name)
            for kind in engines if number % 2 else reversed(engines):
                engines[kind].decode(prompt, 1)
                rate, a_step = engines[kind].decode(prompt, TOKENS, work.grammar(name))
                if number:
                    getattr(each, kind).append(rate)
                    each.tokens_a_step.extend([a_step] if kind == "speculating" else [])
    return rates


@telling_errors
def main(arguments: list[str] | None = None) -> int:
    """Measures, prints a table, records the run; gives the exit code."""
    options = parsed(parser_of("speculation", __doc__), arguments)
    console = Console()
    machine = record.machine()
    plain, speculating = (engine_of(options, 1, speculation) for speculation in ("off", "auto"))
    prompts = PromptSource(plain.tokenizer, options.seed)
    with console.status("") as status:
        rates = measure(plain, speculating, prompts, options.rounds, status.update)
    _print(console, rates)
    figures = {name: {"tokens_a_second": asdict(each), "ratio": each.ratio} for name, each in rates.items()}
    record_run("speculation", options, machine, plain.weights, {"least_ratios": dict(LEAST), "turns": figures}, console)
    return int(any(each.ratio < LEAST[name] for name, each in rates.items()))


def _print(console: Console, rates: Mapping[str, Rates]) -> None:
    title = "Tokens a second of one sequence: median of the rounds (least–most)"
    table = Table(box=None, title=title, title_justify="left")
    for column in ("turn", "one a step", "speculating", "tokens a step", "ratio"):
        table.add_column(column, justify="left" if column == "turn" else "right", no_wrap=True)
    for name, each in rates.items():
        cells = (f"{s.median:.0f} ({s.least:.0f}–{s.most:.0f})" for s in map(Spread.of, (each.plain, each.speculating)))
        missed = " MISSED" if each.ratio < LEAST[name] else ""
        a_step = f"{statistics.median(each.tokens_a_step):.2f}"
        table.add_row(name, *cells, a_step, f"{each.ratio:.2f} (≥ {LEAST[name]:g}{missed})")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
