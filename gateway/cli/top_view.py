"""Draws the figures of `conveyor top` for a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gateway.cli.sanitise import one_line
from gateway.cli.top_figures import KINDS, STATES

NOTHING = "–"
BAR_CELLS = 24
FRAME_LINES = 9  # all but those of services, totals, caches and tools
LEAST_TOOLS = 3
FACT_WIDTH, LABEL_WIDTH = 16, 11
TOOL_WIDTH, PADDING = 20, 2
KIND_WIDTH, LEAST_ADDRESS, MOST_STATE = 7, 15, 36
# Columns of tools and their widths; and in which order they go where the terminal is narrow.
HEADS = {"running": 7, "calls/s": 7, "calls": 6, "mean": 7, "hidden": 6, "errors": 6, "vetoes": 6}
FIRST_TO_GO = ("vetoes", "calls/s", "mean", "hidden", "errors", "running")
LATENCIES = {"first_token": "first token", "inter_token": "between tokens", "completion": "completion"}


class View:
    """One frame after the other. Latencies of an interval in which nothing happened stay as they were, dimmed, so that
    the screen is calm."""

    def __init__(self) -> None:
        self._latencies: dict[str, Mapping[str, float]] = {}

    def draw(self, figures: Mapping[str, Any], height: int, width: int) -> RenderableType:
        """A frame of at most `height` lines, if that is enough for the rest and some tools, and `width` columns."""
        totals = self._totals(figures, width)
        least = FRAME_LINES + len(figures["services"]) + totals.row_count
        return Group(
            *self._services(figures["services"], width),
            "",
            totals,
            "",
            self._latency(figures["latency_seconds"]),
            "",
            self._tools(figures["tools"], max(LEAST_TOOLS, height - least), width),
        )

    def _services(self, services: list[Mapping[str, Any]], width: int) -> Iterator[Text]:
        """A line for each; long addresses give way to what is the matter."""
        states = [
            Text("up", "green") if each["away"] is None else Text(f"away: {one_line(each['away'])}", "bold red")
            for each in services
        ]
        room = width - KIND_WIDTH - 2 * PADDING - min(MOST_STATE, max(map(len, states)))
        addresses = [one_line(each["address"], max(LEAST_ADDRESS, room)) for each in services]
        longest = max(map(len, addresses))
        for service, address, state in zip(services, addresses, states, strict=True):
            kind = (f"{service['service']:<{KIND_WIDTH}}", "bold")
            line = Text.assemble(kind, f"{'':{PADDING}}{address:<{longest}}{'':{PADDING}}", state, no_wrap=True)
            line.truncate(width, overflow="ellipsis")
            yield line

    def _totals(self, figures: Mapping[str, Any], width: int) -> Table:
        requests, tokens = figures["requests"], figures["tokens_per_second"]
        table = Table.grid(padding=(0, PADDING))
        table.add_column(style="bold", no_wrap=True, min_width=LABEL_WIDTH - PADDING)
        table.add_column(no_wrap=True)
        asked = {name: _count(requests[name]) for name in ("running", "waiting")}
        asked |= {"done": _rate(requests["finished_per_second"]), "failed": _rate(requests["failed_per_second"])}
        several = {
            "requests": asked,
            "sequences": {state: _count(figures["sequences"][state]) for state in STATES},
            "tokens": {kind: _rate(tokens[kind]) for kind in KINDS},
        }
        for label, facts in several.items():
            for number, line in enumerate(_facts(facts, max(1, (width - LABEL_WIDTH) // FACT_WIDTH))):
                table.add_row("" if number else label, line)
        caches = figures["kv_cache_usage"]
        for address, usage in caches.items():
            table.add_row(
                "kv cache", Text.assemble(_bar(usage), ("  " + one_line(address)) if len(caches) > 1 else "", style="")
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

    def _tools(self, rows: list[Mapping[str, Any]], most: int, width: int) -> RenderableType:
        table = Table.grid(padding=(0, PADDING))
        table.add_column(max_width=TOOL_WIDTH, no_wrap=True, overflow="ellipsis")
        longest = max((len(one_line(row["tool"], TOOL_WIDTH)) for row in rows), default=0)
        heads = _fitting(width - longest)
        for head in heads:
            table.add_column(justify="right", min_width=min(6, HEADS[head]), no_wrap=True)
        table.add_row(Text("tool", "bold"), *(Text(head, "dim") for head in heads))
        for row in rows[:most]:
            cells = _cells(row)
            table.add_row(one_line(row["tool"]), *(cells[head] for head in heads))
        if not rows:
            table.add_row(Text("no calls yet", "dim"))
        rest = len(rows) - most
        return Group(table, Text(f"and {rest} more", "dim")) if rest > 0 else table


def _fitting(room: int) -> list[str]:
    """The columns of tools that have room beside their names."""
    heads = dict(HEADS)
    for head in FIRST_TO_GO:
        if sum(heads.values()) + PADDING * len(heads) <= room:
            break
        del heads[head]
    return list(heads)


def _cells(row: Mapping[str, Any]) -> dict[str, Text]:
    hidden = row["hidden_share"]
    return {
        "running": _marked(row["running"], "green"),
        "calls/s": Text(NOTHING if row["calls_per_second"] is None else f"{row['calls_per_second']:.1f}"),
        "calls": Text(str(row["calls"])),
        "mean": Text(_time(row["mean_seconds"] or None)),  # what only clients run took nobody here any time
        "hidden": Text(NOTHING if hidden is None else f"{hidden:.0%}"),
        "errors": _marked(row["errors"], "red"),
        "vetoes": _marked(row["vetoes"], "yellow"),
    }


def _marked(count: int, style: str) -> Text:
    return Text(str(count), style if count else "dim")


def _facts(values: Mapping[str, str], most: int) -> Iterator[Text]:
    """Names and values, each in as much room as it needs when it changes; at most so many on a line."""
    told = [Text.assemble(f"{value:>6} ", (f"{name:<9}", "dim")) for name, value in values.items()]
    for begin in range(0, len(told), most):
        yield Text().join(told[begin : begin + most])


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
