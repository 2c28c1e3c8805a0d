"""What was measured, as tables for a terminal and as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.workloads.bounds import Bound, bounds_of, of_the_run
from benchmarks.workloads.instead import Loop
from benchmarks.workloads.overheads import Overhead
from benchmarks.workloads.rows import Row
from benchmarks.workloads.sweep import Point
from benchmarks.workloads.waking import Waking


@dataclass
class Report:
    """Everything of one run. `loads`: of `mixed`, rows named by the number of completions at once. `without`: what was
    left out, and why. A run that is `whole` owes every bound, but for those of the workload that is `left_out` because
    this machine has not what it needs; of another, those count that it measured."""

    placement: str
    trials: int
    whole: bool = False
    left_out: str = ""
    seconds: float = 0.0
    rows: list[Row] = field(default_factory=list)
    loads: list[Row] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    overheads: list[Overhead] = field(default_factory=list)
    waking: Waking | None = None
    loops: list[Loop] = field(default_factory=list)
    timelines: dict[str, Any] = field(default_factory=dict)
    without: list[str] = field(default_factory=list)

    @property
    def bounds(self) -> list[Bound]:
        """What must hold of it."""
        every = bounds_of(self.rows, self.points, self.overheads)
        if not self.whole:
            return [bound for bound in every if bound.value is not None]
        left_out = f"{self.left_out}:" if self.left_out else None
        owed = [each for each in every if left_out is None or not each.what.startswith(left_out)]
        return owed + of_the_run(self.trials, self.seconds)

    def as_json(self) -> dict[str, Any]:
        """All of it as data."""
        return {
            "wall_seconds": self.seconds,
            "trials": self.trials,
            "placement": self.placement,
            "rows": [row.as_json() for row in self.rows],
            "loads": [row.as_json() for row in self.loads],
            "sweep": [point.as_json() for point in self.points],
            "overheads": [each.as_json() for each in self.overheads],
            "waking": self.waking.as_json() if self.waking else None,
            "instead": [loop.as_json() for loop in self.loops],
            "timelines": self.timelines,
            "bounds": [bound.as_json() for bound in self.bounds],
            "without": self.without,
        }

    def show(self, console: Console) -> None:
        """Prints what there is."""
        console.print(self.placement, highlight=False, soft_wrap=True)
        if self.rows:
            console.print(_rows(self.rows), "")
        if self.loads:
            console.print(_loads(self.loads), "")
        if self.points:
            console.print(_points(self.points), "")
        if self.overheads:
            console.print(_overheads(self.overheads), "")
        if self.waking:
            after = ", ".join(f"{value:.0f} after {sleep}" for sleep, value in self.waking.after.items())
            told = (
                f"The same little work takes {self.waking.awake:.0f} µs in a process that is awake; of sleep: {after}."
            )
            console.print(told, "", highlight=False, soft_wrap=True)
        if self.loops:
            console.print(_loops(self.loops, self.rows), "")
        if self.bounds:
            console.print(_bounds(self.bounds), "")
        for why in self.without:
            console.print(Text(why), style="yellow", soft_wrap=True)


def _rows(rows: Sequence[Row]) -> Table:
    table = _table(
        "Seconds: medians, with the 95 % interval of the completion's",
        ("workload", "mode", "n", "completion", "95 %", "p95", "decode", "tools", "hidden", "ideal"),
        ("saved", "on on_seal", "of ideal", "between"),
    )
    named = ""
    for row in rows:
        if named and row.workload != named:
            table.add_section()
        spread = row.completion_seconds
        table.add_row(
            row.workload if row.workload != named else "",
            row.mode,
            str(row.trials),
            _seconds(spread.p50),
            f"{spread.ci95[0]:.2f}–{spread.ci95[1]:.2f}",
            _seconds(spread.p95),
            *(_seconds(value) for value in (row.decode_seconds, row.tool_seconds, row.hidden_seconds)),
            _seconds(row.ideal_seconds),
            *(
                _share(value)
                for value in (row.saved_vs_serial, row.saved_vs_on_seal, row.attained, row.attained_between)
            ),
        )
        named = row.workload
    return table


def _loads(loads: Sequence[Row]) -> Table:
    table = _table("Mixed, by completions at once", ("at once", "mode", "completion", "p95"), ("saved",))
    for row in loads:
        spread = row.completion_seconds
        table.add_row(row.workload, row.mode, _seconds(spread.p50), _seconds(spread.p95), _share(row.saved_vs_serial))
    return table


def _points(points: Sequence[Point]) -> Table:
    table = _table("Sweep", ("t / g", "units", "g", "t", "serial", "partial"), ("saved", "formula", "of ideal"))
    for point in points:
        times = (point.decode_seconds, point.tool_seconds, point.serial_seconds, point.partial_seconds)
        shares = (point.saved, point.formula, point.attained)
        table.add_row(f"{point.ratio:g}", str(point.units), *map(_seconds, times), *map(_share, shares))
    return table


def _overheads(overheads: Sequence[Overhead]) -> Table:
    table = _table(
        "From decoding to the tool's hands, and processor time for a token",
        ("at once", "p50 ms", "p99 ms", "decoding µs", "transport µs", "gateway µs"),
        ("transport",),
    )
    for each in overheads:
        table.add_row(
            str(each.concurrent),
            f"{each.to_tool_p50:.2f}",
            f"{each.to_tool_p99:.2f}",
            *(f"{value:.0f}" for value in (each.decoding_cpu, each.transport_cpu, each.gateway_cpu)),
            _share(each.transport_share),
        )
    return table


def _loops(loops: Sequence[Loop], rows: Sequence[Row]) -> Table:
    table = _table("A server and a loop instead (vLLM)", ("workload", "n", "completion", "decode", "tools"), ("ours",))
    ours = {row.workload: row.completion_seconds.p50 for row in rows if row.mode == "partial"}
    for loop in loops:
        times = (loop.completion_seconds, loop.decode_seconds, loop.tool_seconds)
        table.add_row(loop.workload, str(loop.trials), *map(_seconds, times), _seconds(ours.get(loop.workload)))
    return table


def _bounds(bounds: Sequence[Bound]) -> Table:
    table = Table(box=None, title="What must hold", title_justify="left")
    for name in ("", "found", "wanted", ""):
        table.add_column(name, justify="right" if name else "left")
    for bound in bounds:
        table.add_row(Text(bound.what), bound.shown, bound.wanted, Text("" if bound.holds else "MISSED", style="red"))
    return table


def _table(title: str, columns: Sequence[str], shares: Sequence[str]) -> Table:
    table = Table(box=None, title=title, title_justify="left", padding=(0, 1))
    for name in (*columns, *shares):
        table.add_column(name, justify="left" if name in ("workload", "mode") else "right", no_wrap=True)
    return table


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
