"""Tool time against decoding time: a tool that only waits, in pieces.

The model writes 32 lines, as long with any number of units: with n, every 32/n-th is a wait of t/n seconds and the
others do nothing, so a unit of work is there for every n-th part of the text; t is a multiple of the time g that the
text takes to decode. Then (arXiv 2406.00059, 3.4)

    saved / serial = min(g, t) / (g + t)                   where work is there from the first token on, and
                     min(g, t) (1 - 1/n) / (g + t)         with n units: what is decoded first, or done last, is alone
"""

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.workloads.ideal import ideal_of
from benchmarks.workloads.observed import Observed
from benchmarks.workloads.rounds import Report, complete, turned
from benchmarks.workloads.stack import Stack
from benchmarks.workloads.tools import PASS, WAIT
from benchmarks.workloads.workload import Workload, called

LINES = 32
RATIOS = (0.1, 0.3, 1.0, 3.0, 10.0)
UNITS = (1, 2, 4, 8, 16, 32)
MODES = ("serial", "partial")
CALIBRATIONS = 3


@dataclass(frozen=True, slots=True)
class Point:
    """Medians over the rounds; seconds, and shares of `serial_seconds`."""

    ratio: float
    units: int
    decode_seconds: float
    tool_seconds: float
    serial_seconds: float
    partial_seconds: float
    saved: float
    formula: float
    attained: float | None
    savable_seconds: float

    def as_json(self) -> dict[str, Any]:
        """The point as data."""
        return asdict(self)


async def run_sweep(
    stack: Stack, ratios: Sequence[float], units: Sequence[int], rounds: int, report: Report
) -> list[Point]:
    """Measures each point. Raises like `run_rounds`."""
    await stack.settle({})
    decode = await _calibrated(stack, report)
    places = enumerate(itertools.product(units, ratios))
    return [await _point(stack, ratio, count, decode, (place, rounds), report) for place, (count, ratio) in places]


def saving(decode: float, tool: float, units: int) -> float:
    """The share of a serial completion that can be saved."""
    return min(decode, tool) * (1 - 1 / units) / (decode + tool)


def waiting(seconds: float, units: int) -> Workload:
    """A completion whose tool waits so long, in so many units."""
    every = LINES // units
    lines = [WAIT if (line + 1) % every == 0 else PASS for line in range(LINES)]
    return Workload(
        name="sweep",
        title="Sweep",
        origin="ours",
        call_format="hermes",
        tools=("wait",),
        system="You wait.",
        question="Wait.",
        replay=(called("wait", seconds=round(seconds / units, 4), steps="".join(f"{line}\n" for line in lines)),),
        expects=(f"{units} units",),
        real="the decoding; the tool only waits",
    )


async def _calibrated(stack: Stack, report: Report) -> float:
    """Seconds that the text takes."""
    report("sweep: how long the text takes")
    observed = [await complete(stack, waiting(0.032, LINES), "serial") for _ in range(CALIBRATIONS + 1)]
    return statistics.median(each.decode for each in observed[1:])


async def _point(
    stack: Stack, ratio: float, units: int, decode: float, turns: tuple[int, int], report: Report
) -> Point:
    """`turns`: which mode is first, and how many rounds: where there is one, as many points begin with each."""
    first, rounds = turns
    workload = waiting(ratio * decode, units)
    seen: dict[str, list[Observed]] = {mode: [] for mode in MODES}
    for number in range(rounds):
        for mode in turned(MODES, first + number):
            report(f"sweep: {ratio:g} times as long in {units} units, {mode}, round {number + 1} of {rounds}")
            seen[mode].append(await complete(stack, workload, mode))
    ideals = [ideal for ideal in map(ideal_of, seen["partial"], seen["serial"]) if ideal is not None]
    shares = [ideal.attained for ideal in ideals if ideal.attained is not None]
    decoded, worked = (
        statistics.median(figure) for figure in zip(*((each.decode, each.tool) for each in seen["serial"]), strict=True)
    )
    serial, partial = (statistics.median(each.completion for each in seen[mode]) for mode in MODES)
    return Point(
        ratio=ratio,
        units=units,
        decode_seconds=decoded,
        tool_seconds=worked,
        serial_seconds=serial,
        partial_seconds=partial,
        saved=1 - partial / serial,
        formula=saving(decoded, worked, units),
        attained=statistics.median(shares) if shares else None,
        savable_seconds=statistics.median(ideal.serial - ideal.ideal for ideal in ideals),
    )
