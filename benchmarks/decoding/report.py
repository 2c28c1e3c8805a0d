"""A run's figures as tables for a terminal and as JSON."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.decoding.decoders import OURS
from benchmarks.decoding.figures import BatchFigures, Bound, Spread, decoder_figures, prefill_rate, ratio
from benchmarks.decoding.rounds import Samples, Work

Figures = Mapping[str, Mapping[int, BatchFigures]]


def as_json(samples: Mapping[str, Samples], work: Work, bounds: list[Bound]) -> dict[str, Any]:
    """`decoders` by name, `ratios` of ours to each peer by batch, `bounds` with what came out."""
    figures = {name: decoder_figures(each) for name, each in samples.items()}
    return {
        "work": asdict(work),
        "decoders": {name: _decoder(each, figures[name], work) for name, each in samples.items()},
        "ratios": {name: _ratios(figures, name) for name in samples if name != OURS},
        "bounds": [asdict(bound) | {"holds": bound.holds} for bound in bounds],
    }


def _decoder(samples: Samples, figures: Mapping[int, BatchFigures], work: Work) -> dict[str, Any]:
    prefill = prefill_rate(samples, work.prefill)
    return {
        "about": samples.about,
        "peak_bytes": samples.peak_bytes,
        "prefill_rate": asdict(prefill) if prefill else None,
        "batches": {
            size: asdict(each) | {"rates": [sum(a.tokens) / sum(a.steps) for a in samples.batches[size]]}
            for size, each in figures.items()
        },
        "failure": samples.failure,
    }


def _ratios(figures: Figures, peer: str) -> dict[int, float]:
    found = {size: ratio(figures, peer, size) for size in figures.get(peer, {})}
    return {size: value for size, value in found.items() if value is not None}


def show(console: Console, samples: Mapping[str, Samples], work: Work, bounds: list[Bound]) -> None:
    """Prints all of it."""
    figures = {name: decoder_figures(each) for name, each in samples.items()}
    tables = [_rates(figures, work), _steps(figures, work), _others(samples, figures, work)]
    if set(figures) - {OURS}:
        tables.insert(1, _all_ratios(figures, work, bounds))
    for table in tables:
        console.print(table)
        console.print()
    for bound in bounds:
        if not bound.holds:
            of = f"of {bound.peer}'s" if bound.peer else "tokens a second"
            console.print(
                f"MISSED at {bound.batch}: {bound.value:.2f} {of}, at least {bound.least:g} wanted", style="red"
            )
    for each in samples.values():
        if each.failure:
            console.print(each.failure, style="red", markup=False, highlight=False, soft_wrap=True)


def _rates(figures: Figures, work: Work) -> Table:
    title = "Decoded tokens a second: median of the rounds (least–most)"
    return _by_batch(title, figures, work, lambda each: _spread(each.rate))


def _all_ratios(figures: Figures, work: Work, bounds: list[Bound]) -> Table:
    peers = [name for name in figures if name != OURS]
    table = _table(f"Our tokens a second over theirs ({OURS} / ...)", "batch")
    for name in peers:
        table.add_column(name, justify="right", no_wrap=True)
    least = {(bound.peer, bound.batch): bound for bound in bounds}
    for size in work.batches:
        table.add_row(str(size), *(_ratio(ratio(figures, name, size), least.get((name, size))) for name in peers))
    return table


def _ratio(value: float | None, bound: Bound | None) -> str:
    if value is None:
        return "–"
    if bound is None:
        return f"{value:.2f}"
    return f"{value:.2f} (≥ {bound.least:g}{'' if bound.holds else ' MISSED'})"


def _steps(figures: Figures, work: Work) -> Table:
    return _by_batch(
        "Milliseconds of a step: p50 / p99", figures, work, lambda each: f"{each.p50:.1f} / {each.p99:.1f}"
    )


def _by_batch(title: str, figures: Figures, work: Work, cell: Callable[[BatchFigures], str]) -> Table:
    table = _table(title, "batch")
    for name in figures:
        table.add_column(name, justify="right", no_wrap=True)
    for size in work.batches:
        table.add_row(str(size), *(cell(each[size]) if size in each else "–" for each in figures.values()))
    return table


def _others(samples: Mapping[str, Samples], figures: Figures, work: Work) -> Table:
    table = _table("", "")
    for name in samples:
        table.add_column(name, justify="right", no_wrap=True)
    smallest = min(work.batches)
    first = [_spread(each[smallest].first) if smallest in each else "–" for each in figures.values()]
    prefills = [prefill_rate(each, work.prefill) for each in samples.values()]
    table.add_row("weights", *(str(each.about.get("weights", "–")) for each in samples.values()))
    table.add_row(f"ms to the first token of {smallest}", *first)
    table.add_row(f"prompt tokens/s, of {work.prefill}", *(_spread(each) if each else "–" for each in prefills))
    table.add_row("s to load", *(_number(each.about.get("load_seconds"), 1) for each in samples.values()))
    table.add_row("peak MiB", *(_number(each.peak_bytes / 2**20, 0) for each in samples.values()))
    return table


def _table(title: str, first: str) -> Table:
    table = Table(box=None, title=title or None, title_justify="left")
    table.add_column(first, justify="right" if first else "left", no_wrap=True)
    return table


def _spread(spread: Spread) -> str:
    digits = 1 if spread.median < 100 else 0
    return f"{spread.median:.{digits}f} ({spread.least:.{digits}f}–{spread.most:.{digits}f})"


def _number(value: float | None, digits: int) -> str:
    return f"{value:.{digits}f}" if value else "–"
