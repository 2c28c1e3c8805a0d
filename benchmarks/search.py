"""How fast documents are indexed and searched: `python -m benchmarks.search`.

A corpus of Markdown files is generated, with words as often as in English (Zipf's law), the same in every run. Both
engines index it into a folder; then each round asks all queries of each engine, one after the other, so that a busy
minute of the machine falls on both. Medians are compared.

    build    seconds for the index folder, written through to the disk
    size     of the index folder
    open     milliseconds, with the reading for damage
    p50, p99 milliseconds of one search: 50 hits with snippets, of queries with 1 to 4 words, rare and common ones
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from rich.console import Console
from rich.table import Column, Table

from tool_service.tools.search.engine import WIDEST
from tool_service.tools.search.indexing import ENGINES, open_index, write_index

P = ParamSpec("P")
T = TypeVar("T")

VOCABULARY = 20_000
WORDS_OF_SECTION = 120
SECTIONS_OF_DOCUMENT = 10
QUERIES = 60


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one engine; times are medians, but `p99`."""

    engine: str
    build_seconds: float
    size_mib: float
    open_ms: float
    p50_ms: float
    p99_ms: float


def main() -> None:
    """Measures, prints a table or JSON."""
    options = _options()
    console = Console(stderr=options.json)
    chance = random.Random(0)
    words = ["".join(chance.choices("aeioulnrstdm", k=chance.randint(3, 9))) for _ in range(VOCABULARY)]
    with tempfile.TemporaryDirectory(prefix="conveyor-benchmark-") as work:
        with console.status("writing documents"):
            _write_corpus(Path(work) / "corpus", options.documents, words, chance)
        queries = [" ".join(_choose(words, 1 + number % 4, chance)) for number in range(QUERIES)]
        with console.status("indexing and searching"):
            figures = _measure(Path(work), queries, options.rounds)
    if options.json:
        print(json.dumps({"documents": options.documents, "engines": [asdict(each) for each in figures]}))
    else:
        _print(console, options.documents, figures)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--documents", metavar="N", type=int, default=2_000, help="of 1,200 words; default: 2000")
    parser.add_argument("--rounds", metavar="N", type=int, default=5, help="of all queries; default: 5")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    if options.rounds < 1 or options.documents < 1:
        parser.error("--rounds and --documents must be 1 or more")
    return options


def _choose(words: list[str], count: int, chance: random.Random) -> list[str]:
    """Words by Zipf's law: the n-th is met about 1/n as often as the first."""
    return [words[int(len(words) ** chance.random()) - 1] for _ in range(count)]


def _write_corpus(corpus: Path, documents: int, words: list[str], chance: random.Random) -> None:
    corpus.mkdir()
    for number in range(documents):
        sections = (
            f"## {' '.join(_choose(words, 3, chance))}\n\n{' '.join(_choose(words, WORDS_OF_SECTION, chance))}\n"
            for _ in range(SECTIONS_OF_DOCUMENT)
        )
        (corpus / f"{number}.md").write_text("\n".join(sections))


def _measure(work: Path, queries: list[str], rounds: int) -> list[Figures]:
    built = {engine: _timed(write_index, work / "corpus", work / engine, engine)[0] for engine in ENGINES}
    opened = {engine: _timed(open_index, work / engine) for engine in ENGINES}
    taken: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    for _ in range(rounds):
        for engine, (_, index) in opened.items():
            taken[engine] += [_timed(index.search, query, WIDEST)[0] for query in queries]
    for _, index in opened.values():
        index.close()
    return [
        Figures(
            engine,
            built[engine],
            sum(file.stat().st_size for file in (work / engine).rglob("*")) / (1 << 20),
            opened[engine][0] * 1e3,
            statistics.median(taken[engine]) * 1e3,
            statistics.quantiles(taken[engine], n=100)[98] * 1e3,
        )
        for engine in ENGINES
    ]


def _timed(work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> tuple[float, T]:
    """Seconds that it took, and what it gave."""
    began = time.perf_counter()
    result = work(*arguments, **named)
    return time.perf_counter() - began, result


def _print(console: Console, documents: int, figures: list[Figures]) -> None:
    table = Table(
        "engine", *(Column(name, justify="right") for name in ("build s", "MiB", "open ms", "p50 ms", "p99 ms"))
    )
    for each in figures:
        values = (each.build_seconds, each.size_mib, each.open_ms, each.p50_ms, each.p99_ms)
        table.add_row(each.engine, *(f"{value:.2f}" for value in values))
    console.print(f"{documents} documents, {documents * SECTIONS_OF_DOCUMENT} sections")
    console.print(table)


if __name__ == "__main__":
    main()
