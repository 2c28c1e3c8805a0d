"""What must hold, and whether it did."""

from collections.abc import Callable, Iterator, Sequence
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
FEW, MINUTES = 5, 15.0  # trials, and what they may take


@dataclass(frozen=True, slots=True)
class Bound:
    """`value` must be between `least` and `most`, as far as they are given; None, no figure, does not hold."""

    what: str
    value: float | None
    least: float | None = None
    most: float | None = None
    unit: str = ""  # "%" for shares, "ms", "min"

    @property
    def holds(self) -> bool:
        """Whether it is."""
        if self.value is None:
            return False
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
        return "no figure" if self.value is None else self._shown(self.value)

    def as_json(self) -> dict[str, Any]:
        """The bound as data."""
        return asdict(self) | {"holds": self.holds}

    def _shown(self, value: float) -> str:
        return f"{value * 100:.1f} %" if self.unit == "%" else f"{value:.2f} {self.unit}"


def bounds_of(rows: Sequence[Row], points: Sequence[Point], overheads: Sequence[Overhead]) -> list[Bound]:
    """All of them, also those of what was not measured."""
    partial = {row.workload: row for row in rows if row.mode == "partial"}
    return [*_of_rows(partial), _of_points(points), *_of_overheads(overheads)]


def of_the_run(trials: int, seconds: float) -> list[Bound]:
    """That of a whole run, where it has few trials."""
    return [Bound(f"all of it with {trials} trials", seconds / 60, most=MINUTES, unit="min")] if trials <= FEW else []


def _of_rows(partial: dict[str, Row]) -> Iterator[Bound]:
    def figure(name: str, get: Callable[[Row], float | None]) -> float | None:
        return get(partial[name]) if name in partial else None

    for name in OVERLAPPED:
        yield Bound(f"{name}: of the ideal saving", figure(name, lambda row: row.attained), least=ATTAINED, unit="%")
    saved = {name: figure(name, lambda row: row.saved_vs_serial) for name in (*PAPERS, "validation", *CANNOT_GAIN)}
    best = max((share for name in PAPERS if (share := saved[name]) is not None), default=None)
    yield Bound("best of the paper's overlap workloads: saved against serial", best, least=HEADLINE, unit="%")
    yield Bound("validation: saved against serial", saved["validation"], least=max(best or 0.0, HEADLINE), unit="%")
    for name in LONG_STRINGS:
        over = figure(name, lambda row: row.saved_vs_on_seal)
        yield Bound(f"{name}: saved against on_seal", over, least=OVER_ON_SEAL, unit="%")
    for name in CANNOT_GAIN:
        yield Bound(f"{name}: saved against serial", saved[name], least=-EVEN, most=EVEN, unit="%")


def _of_points(points: Sequence[Point]) -> Bound:
    shares = [
        (point.attained, point)
        for point in points
        if point.attained is not None and point.savable_seconds >= WORTH_SECONDS
    ]
    least, point = min(shares, key=lambda pair: pair[0], default=(None, None))
    where = f" ({len(shares)} points, this at t = {point.ratio:g} g, {point.units} units)" if point else ""
    what = f"sweep, least of the points with {WORTH_SECONDS:g} s to save{where}: of the ideal saving"
    return Bound(what, least, least=ATTAINED, unit="%")


def _of_overheads(overheads: Sequence[Overhead]) -> Iterator[Bound]:
    found = next((each for each in overheads if each.concurrent == AT_ONCE), None)
    p50, p99, share = (found.to_tool_p50, found.to_tool_p99, found.transport_share) if found else (None, None, None)
    yield Bound(f"from decoding to the tool, p50 at {AT_ONCE}", p50, most=TO_TOOL_P50, unit="ms")
    yield Bound(f"from decoding to the tool, p99 at {AT_ONCE}", p99, most=TO_TOOL_P99, unit="ms")
    what = f"transport and parsing, of decoding's processor time at {AT_ONCE}"
    yield Bound(what, share, most=TRANSPORT_SHARE, unit="%")
