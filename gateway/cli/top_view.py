"""Draws the figures of `conveyor top` for a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gateway.cli.sanitise import one_line
from gateway.cli.top_figures import KINDS, STATES

NOTHING = "–"
BAR_CELLS = 24
FRAME_LINES = 12  # all but those of services, caches and tools
LEAST_TOOLS = 3
LATENCIES = {"first_token": "first token", "inter_token": "between tokens", "completion": "completion"}


class View:
    """One frame after the other. Latencies of an interval in which nothing happened stay as they were, dimmed, so that
    the screen is calm."""

    def __init__(self) -> None:
        self._latencies: dict[str, Mapping[str, float]] = {}

    def draw(self, figures: Mapping[str, Any], height: int) -> RenderableType:
        """A frame of at most `height` lines."""
        least = FRAME_LINES + len(figures["services"]) + len(figures["kv_cache_usage"])
        return Group(
            self._services(figures["services"]),
            "",
            self._totals(figures),
            "",
            self._latency(figures["latency_seconds"]),
            "",
            self._tools(figures["tools"], max(LEAST_TOOLS, height - least)),
        )

    def _services(self, services: list[Mapping[str, Any]]) -> Table:
        table = Table.grid(padding=(0, 2))
        for style in ("bold", "", ""):
            table.add_column(style=style, no_wrap=True, overflow="ellipsis")
        for service in services:
            away = service["away"]
            state = Text("up", "green") if away is None else Text(f"away: {one_line(away)}", "bold red")
            table.add_row(service["service"], one_line(service["address"]), state)
        return table

    def _totals(self, figures: Mapping[str, Any]) -> Table:
        requests, tokens = figures["requests"], figures["tokens_per_second"]
        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold", no_wrap=True)
        asked = {name: _count(requests[name]) for name in ("running", "waiting")}
        asked |= {"done": _rate(requests["finished_per_second"]), "failed": _rate(requests["failed_per_second"])}
        table.add_row("requests", _facts(asked))
        table.add_row("sequences", _facts({state: _count(figures["sequences"][state]) for state in STATES}))
        table.add_row("tokens", _facts({kind: _rate(tokens[kind]) for kind in KINDS}))
        several = len(figures["kv_cache_usage"]) > 1
        for address, usage in figures["kv_cache_usage"].items():
            table.add_row(
                "kv cache", Text.assemble(_bar(usage), ("  " + one_line(address)) if several else "", style="")
            )
        return table

    def _latency(self, latencies: Mapping[str, Mapping[str, float] | None]) -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_column(min_width=14)
        for _ in ("p50", "p95"):
            table.add_column(justify="right", min_width=9)
        table.add_row(Text("latency", "bold"), Text("p50", "dim"), Text("p95", "dim"))
        for name, label in LATENCIES.items():
            found = latencies[name]
            style = "dim" if found is None else ""
            if found is not None:
                self._latencies[name] = found
            shown = self._latencies.get(name, {})
            table.add_row(label, *(Text(_time(shown.get(key)), style) for key in ("p50", "p95")))
        return table

    def _tools(self, rows: list[Mapping[str, Any]], most: int) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        table.add_column(max_width=20, no_wrap=True, overflow="ellipsis")
        heads = ("running", "calls/s", "calls", "mean", "hidden", "errors", "vetoes")
        for _ in heads:
            table.add_column(justify="right", min_width=6, no_wrap=True)
        table.add_row(Text("tool", "bold"), *(Text(head, "dim") for head in heads))
        for row in rows[:most]:
            table.add_row(one_line(row["tool"]), *_cells(row))
        if not rows:
            table.add_row(Text("no calls yet", "dim"))
        rest = len(rows) - most
        return Group(table, Text(f"and {rest} more", "dim")) if rest > 0 else table


def _cells(row: Mapping[str, Any]) -> list[Text]:
    hidden = row["hidden_share"]
    return [
        _marked(row["running"], "green"),
        Text(NOTHING if row["calls_per_second"] is None else f"{row['calls_per_second']:.1f}"),
        Text(str(row["calls"])),
        Text(_time(row["mean_seconds"] or None)),  # what only clients run took nobody here any time
        Text(NOTHING if hidden is None else f"{hidden:.0%}"),
        _marked(row["errors"], "red"),
        _marked(row["vetoes"], "yellow"),
    ]


def _marked(count: int, style: str) -> Text:
    return Text(str(count), style if count else "dim")


def _facts(values: Mapping[str, str]) -> Text:
    """Names and values, each in as much room as it needs when it changes."""
    line = Text()
    for name, value in values.items():
        line.append(f"{value:>6} ")
        line.append(f"{name:<9}", "dim")
    return line


def _bar(share: float | None) -> Text:
    if share is None:
        return Text(f"{NOTHING:>6}")
    full = round(min(1.0, max(0.0, share)) * BAR_CELLS)
    style = "green" if share < 0.8 else "yellow" if share < 0.95 else "red"
    return Text.assemble(f"{share:>6.0%} ", ("█" * full, style), ("░" * (BAR_CELLS - full), "dim"))


def _count(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.0f}"


def _rate(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.0f}/s" if value >= 10 else f"{value:.1f}/s"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return NOTHING
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"
