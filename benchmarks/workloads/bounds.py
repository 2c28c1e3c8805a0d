"""What must hold, and whether it did."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.workloads.overheads import Overhead
from benchmarks.workloads.rows import Row
from benchmarks.workloads.sweep import Point

HEADLINE = 0.388  # the paper's best saving
ATTAINED = 0.95
OVER_ON_SEAL = 0.20
EVEN = 0.02
WORTH_SECONDS = 0.2  # a point of the sweep with less to save says little
OVERLAPPED = ("codegen-cold", "codegen", "search", "planning", "parallel", "script", "agent")
PAPERS = ("codegen-cold", "codegen", "search", "planning")  # those that it overlaps
LONG_STRINGS = ("codegen-cold", "codegen", "script")
CANNOT_GAIN = ("database", "calculator")
AT_ONCE, TO_TOOL_P50, TO_TOOL_P99 = 8, 2.0, 10.0  # completions; milliseconds
TRANSPORT_SHARE = 0.03


@dataclass(frozen=True, slots=True)
class Bound:
    """`value` must be between `least` and `most`, as far as they are given."""

    what: str
    value: float
    least: float | None = None
    most: float | None = None
    unit: str = ""  # "%" for shares, "ms"

    @property
    def holds(self) -> bool:
        """Whether it is."""
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)

    @property
    def wanted(self) -> str:
        """Its limits, in words."""
        if self.least is not None and self.most is not None:
            return f"{self._shown(self.least)} to {self._shown(self.most)}"
        return f"≥ {self._shown(self.least)}" if self.least is not None else f"≤ {self._shown(self.most or 0.0)}"

    @property
    def shown(self) -> str:
        """The value, as it is to be read."""
        return self._shown(self.value)

    def as_json(self) -> dict[str, Any]:
        """The bound as data."""
        return asdict(self) | {"holds": self.holds}

    def _shown(self, value: float) -> str:
        return f"{value * 100:.1f} %" if self.unit == "%" else f"{value:.2f} {self.unit}"


def bounds_of(rows: Sequence[Row], points: Sequence[Point], overheads: Sequence[Overhead]) -> list[Bound]:
    """Those of what was measured."""
    partial = {row.workload: row for row in rows if row.mode == "partial"}
    return [*_of_rows(partial), *_of_points(points), *_of_overheads(overheads)]


def _of_rows(partial: dict[str, Row]) -> Iterator[Bound]:
    for name in OVERLAPPED:
        if name in partial and (attained := partial[name].attained) is not None:
            yield Bound(f"{name}: of the ideal saving", attained, least=ATTAINED, unit="%")
    saved = {name: row.saved_vs_serial for name, row in partial.items() if row.saved_vs_serial is not None}
    best = max((saved[name] for name in PAPERS if name in saved), default=None)
    if best is not None:
        yield Bound("best of the paper's overlap workloads: saved against serial", best, least=HEADLINE, unit="%")
    if "validation" in saved:
        yield Bound("validation: saved against serial", saved["validation"], least=max(best or 0.0, HEADLINE), unit="%")
    for name in LONG_STRINGS:
        if name in partial and (over := partial[name].saved_vs_on_seal) is not None:
            yield Bound(f"{name}: saved against on_seal", over, least=OVER_ON_SEAL, unit="%")
    for name in CANNOT_GAIN:
        if name in saved:
            yield Bound(f"{name}: saved against serial", saved[name], least=-EVEN, most=EVEN, unit="%")


def _of_points(points: Sequence[Point]) -> Iterator[Bound]:
    shares = [
        (point.attained, point)
        for point in points
        if point.attained is not None and point.savable_seconds >= WORTH_SECONDS
    ]
    if shares:
        least, point = min(shares, key=lambda pair: pair[0])
        where = f"t = {point.ratio:g} g, {point.units} units"
        what = f"sweep, least of {len(shares)} points with {WORTH_SECONDS:g} s to save ({where}): of the ideal saving"
        yield Bound(what, least, least=ATTAINED, unit="%")


def _of_overheads(overheads: Sequence[Overhead]) -> Iterator[Bound]:
    for each in overheads:
        if each.concurrent == AT_ONCE:
            yield Bound(f"from decoding to the tool, p50 at {AT_ONCE}", each.to_tool_p50, most=TO_TOOL_P50, unit="ms")
            yield Bound(f"from decoding to the tool, p99 at {AT_ONCE}", each.to_tool_p99, most=TO_TOOL_P99, unit="ms")
            yield Bound(
                f"transport and parsing, of decoding's processor time at {AT_ONCE}",
                each.transport_share,
                most=TRANSPORT_SHARE,
                unit="%",
            )
