"""How fast the parsers are: `python -m benchmarks.parsing`.

Every format parses calls whose arguments have 1, 16, 256 and 1024 KiB, in deltas of 5 characters, as a model writes
them: once one long string, once a list of small objects. Each round goes through all formats and sizes, so that a busy
minute of the machine falls on one sample of many and not on all of one format's; medians are compared. Then single
deltas are timed, and inputs that took other parsers seconds.

    bound       of every format and kind of arguments
    flat        most / least microseconds per KiB over the sizes     at most 1.5
    fast        characters a second, at each size                    at least 1,000,000
    p50, p99    of one delta of 5 characters                         at most 20 and 200 microseconds
    ReDoS       each input, whole and in deltas of 5 where short     at most 5 milliseconds

The exit code is 1 if a bound is not held. Each parse is checked: it must seal the arguments that were written.
"""

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.calls import items_turn, text_turn, tools_of
from tool_service.formats import FORMATS
from tool_service.formats.events import CallSealed
from tool_service.formats.format import Format

KIB = 1024
SIZES = (1, 16, 256, 1024)  # KiB
DELTA = 5  # characters
FLAT = 1.5
FAST = 1_000_000.0  # characters a second
P50, P99 = 20.0, 200.0  # microseconds
REDOS = 5.0  # milliseconds
LEAST_KIB = 256  # of text in one sample: small turns are parsed again and again

Turn = tuple[str, dict[str, Any]]
KINDS: dict[str, Callable[[Format, int], Turn]] = {"text": text_turn, "items": items_turn}


@dataclass(frozen=True, slots=True)
class Cost:
    """What a format and kind of arguments cost. `per_kib`: median microseconds, by KiB of arguments."""

    format: str
    arguments: str
    per_kib: dict[int, float]
    spread: float  # the largest median deviation from the median, as a share of it
    p50: float  # microseconds a delta
    p99: float

    @property
    def flatness(self) -> float:
        """The dearest size against the cheapest."""
        return max(self.per_kib.values()) / min(self.per_kib.values())

    @property
    def speed(self) -> float:
        """Characters a second, at the dearest size."""
        return KIB / max(self.per_kib.values()) * 1e6

    def missed(self) -> list[str]:
        """The bounds that are not held."""
        bounds = {
            "flat": self.flatness <= FLAT,
            "fast": self.speed >= FAST,
            "p50": self.p50 <= P50,
            "p99": self.p99 <= P99,
        }
        return [name for name, held in bounds.items() if not held]


@dataclass(frozen=True, slots=True)
class Attack:
    """An input that took another parser seconds; `milliseconds`: the median here."""

    format: str
    source: str
    characters: int
    milliseconds: float


def attacks() -> Iterator[tuple[str, str, str, int]]:
    """Format, where it is from, the text, and the length of the deltas it comes in (0: whole)."""
    arguments = ", ".join(f"a{index}={index}" for index in range(22))
    separators = "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function" + "<｜tool▁sep｜>" * 26_000
    yield "pythonic", "sglang #31912, 8.3 s", f"[search({arguments}", DELTA
    yield "pythonic", "sglang #31912, closed, 3.8 s", f"[search({arguments})]", DELTA
    yield "pythonic", "vllm CVE-2025-48887", "[A(A=" + "\t)A(A=," * 100, DELTA
    yield "deepseek_v3", "vllm #55473, 11.6 s", separators, 0
    yield "deepseek_v31", "vllm #55473", separators, 0
    for name in ("glm45", "glm47"):
        yield name, "vllm #54678", "<tool_call>" + " " * 4_000 + "<arg_key>", 0
    yield "hermes", "openers without closers", "<tool_call>" * 5_000, 0
    yield "json", "openers without closers", '{"a":' * 500, 0


def main() -> int:
    """Measures, prints a table or JSON; gives the exit code."""
    options = _options()
    console = Console(stderr=options.json)
    costs = _measure_all(options, console)
    attacked = [_attack(*attack) for attack in attacks() if attack[0] in options.only]
    missed = _misses(costs, attacked)
    if options.json:
        print(
            json.dumps(
                {"costs": [_row(cost) for cost in costs], "attacks": list(map(asdict, attacked)), "missed": missed}
            )
        )
    else:
        _print(console, costs, attacked, missed)
    return int(bool(missed))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parsing", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", metavar="NAME", nargs="+", choices=sorted(FORMATS), default=list(FORMATS))
    parser.add_argument("--rounds", metavar="N", type=int, default=5, help="samples of each size; default: 5")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    return options


@dataclass(frozen=True, slots=True)
class _Case:
    """One format and kind of arguments: its turns, and the samples taken so far, by KiB of arguments."""

    format: Format
    kind: str
    turns: dict[int, Turn]
    samples: dict[int, list[float]]

    def cost(self) -> Cost:
        deltas = sorted(_time_deltas(self.format, self.turns[256][0]))
        return Cost(
            self.format.name,
            self.kind,
            {size: statistics.median(times) for size, times in self.samples.items()},
            max(map(_spread, self.samples.values())),
            deltas[len(deltas) // 2],
            deltas[len(deltas) * 99 // 100],
        )


def _measure_all(options: argparse.Namespace, console: Console) -> list[Cost]:
    cases = list(_cases(options.only))
    gc.collect()
    gc.freeze()  # the turns are many objects, and no part of what a parser costs
    with console.status("") as status:
        for case in cases:
            _sample(case.format, case.turns[SIZES[0]])  # warms up
        for done in range(options.rounds):
            for case in cases:
                status.update(f"round {done + 1} of {options.rounds}: {case.format.name}, {case.kind}")
                for size, turn in case.turns.items():
                    case.samples[size].append(_sample(case.format, turn))
        return [case.cost() for case in cases]


def _cases(names: Sequence[str]) -> Iterator[_Case]:
    for name in names:
        for kind, make in KINDS.items():
            if kind == "text" or not FORMATS[name].only_tool:
                turns = {size: make(FORMATS[name], size * KIB) for size in SIZES}
                yield _Case(FORMATS[name], kind, turns, {size: [] for size in SIZES})


def _spread(times: Sequence[float]) -> float:
    middle = statistics.median(times)
    return sorted(abs(each - middle) for each in times)[len(times) // 2] / middle


def _sample(format_: Format, turn: Turn) -> float:
    """Microseconds per KiB of one turn, parsed as often as makes a fair sample."""
    text, arguments = turn
    pieces = [text[at : at + DELTA] for at in range(0, len(text), DELTA)]
    times = max(1, LEAST_KIB * KIB // len(text))
    tools, spent = tools_of(format_), 0.0
    sealed: list[dict[str, Any]] = []
    gc.collect()
    for _ in range(times):
        parser = format_.parser(tools)
        started = time.perf_counter()
        for piece in pieces:
            for event in parser.feed(piece):
                if isinstance(event, CallSealed):
                    sealed = [event.arguments]
        last = parser.close("stop")
        spent += time.perf_counter() - started
        sealed = [event.arguments for event in last if isinstance(event, CallSealed)] or sealed
    if sealed != [arguments]:
        sys.exit(f"{format_.name}: the call was not read as it was written")
    return spent / times / (len(text) / KIB) * 1e6


def _time_deltas(format_: Format, text: str) -> Iterator[float]:
    """Microseconds of each delta."""
    parser = format_.parser(tools_of(format_))
    for at in range(0, len(text), DELTA):
        piece = text[at : at + DELTA]
        started = time.perf_counter_ns()
        parser.feed(piece)
        yield (time.perf_counter_ns() - started) / 1000


def _attack(name: str, source: str, text: str, step: int) -> Attack:
    pieces = [text[at : at + step] for at in range(0, len(text), step)] if step else [text]
    times = []
    for _ in range(9):
        parser = FORMATS[name].parser({"search": {}})
        started = time.perf_counter()
        for piece in pieces:
            parser.feed(piece)
        parser.close("stop")
        times.append((time.perf_counter() - started) * 1000)
    return Attack(name, source, len(text), statistics.median(times))


def _misses(costs: Sequence[Cost], attacked: Sequence[Attack]) -> list[str]:
    missed = [f"{cost.format}, {cost.arguments}: {', '.join(cost.missed())}" for cost in costs if cost.missed()]
    return missed + [f"{each.format}, {each.source}: ReDoS" for each in attacked if each.milliseconds > REDOS]


def _row(cost: Cost) -> dict[str, Any]:
    return asdict(cost) | {"flatness": cost.flatness, "characters_per_second": cost.speed}


def _print(console: Console, costs: Sequence[Cost], attacked: Sequence[Attack], missed: Sequence[str]) -> None:
    table = Table(
        box=None,
        title=f"Deltas of {DELTA} characters; µs per KiB of text, by KiB of arguments",
        title_justify="left",
    )
    table.add_column("format", no_wrap=True)
    table.add_column("args", no_wrap=True)
    for column in (*map(str, SIZES), "flat", "MB/s", "spread", "p50", "p99"):
        table.add_column(column, justify="right", no_wrap=True)
    for cost in costs:
        sizes = [f"{cost.per_kib[size]:.0f}" for size in SIZES]
        figures = [f"{cost.flatness:.2f}", f"{cost.speed / 1e6:.2f}", f"{cost.spread:.0%}"]
        table.add_row(cost.format, cost.arguments, *sizes, *figures, f"{cost.p50:.1f}", f"{cost.p99:.1f}")
    console.print(table)
    table = Table(box=None, title="Inputs that took other parsers seconds", title_justify="left")
    for column in ("format", "from", "characters", "ms"):
        table.add_column(column, justify="right" if column in ("characters", "ms") else "left")
    for each in attacked:
        table.add_row(each.format, each.source, f"{each.characters:,}", f"{each.milliseconds:.2f}")
    console.print(table)
    bounds = f"flat ≤ {FLAT}, ≥ {FAST / 1e6:g} MB/s, p50 ≤ {P50:g} µs, p99 ≤ {P99:g} µs, ReDoS ≤ {REDOS:g} ms"
    console.print(f"missed: {'; '.join(missed)} ({bounds})" if missed else f"all bounds hold: {bounds}")


if __name__ == "__main__":
    sys.exit(main())
