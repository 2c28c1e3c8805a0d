"""`python -m benchmarks.workloads`: measures, prints tables, records.

The exit code is 1 where a bound is not held, 2 where nothing is recorded.

What is measured, and how, is told in `benchmarks.workloads`.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import httpx
from rich.console import Console

from benchmarks import record
from benchmarks.workloads import page, placement, rounds, waking
from benchmarks.workloads.instead import NoServerError, open_server, run_loops
from benchmarks.workloads.overheads import CONCURRENT, run_overheads
from benchmarks.workloads.placement import Placement
from benchmarks.workloads.report import Report
from benchmarks.workloads.rounds import Samples, WrongResultError
from benchmarks.workloads.rows import rows_of
from benchmarks.workloads.stack import Stack, open_stack
from benchmarks.workloads.suite import SUITE, mixed
from benchmarks.workloads.sweep import RATIOS, UNITS, run_sweep
from benchmarks.workloads.timeline import timelines_of
from benchmarks.workloads.workload import MODES, Workload
from benchmarks.workloads.world import World, open_world
from decoder_service.models.catalogue import DEFAULT
from gateway.cli.failure import Failure

PARTS = (mixed.NAME, "loads", "sweep", "overheads", "instead")
WIDTH = 140  # of tables, where there is no terminal to fit
LOADED = ("serial", "partial")
LOADS = (4, 12)  # completions at once, of those that `mixed` has all at once
# Where there are few trials: of `LOADS`, units of the sweep, workloads with a server and a loop.
FEW_LOADS, FEW_UNITS, FEW_COMPARED = LOADS[-1:], (8,), ("codegen", "search")
QUICK = ("codegen", "search", "validation", "calculator", "overheads")
ENOUGH = 10  # trials for the whole of the sweep, and for a round of what takes long


class Measurement:
    """One run of the parts that are wanted."""

    def __init__(self, options: argparse.Namespace, place: Placement, console: Console) -> None:
        everything = {*SUITE, *PARTS} <= {*options.only} and {*MODES} <= {*options.modes}
        self.report = Report(str(place), options.trials, everything)
        self._options = options
        self._place = place
        self._console = console
        self._wanted = options.only
        self._modes = options.modes

    async def __call__(self, folder: Path) -> None:
        """Measures. Raises Failure, WrongResultError, grpc.aio.AioRpcError, httpx.HTTPError."""
        options = self._options
        async with open_world(options.search_seconds) as world:
            with self._saying() as say:
                say("starting the services")
                async with open_stack(options.model, world, self._place, folder) as stack:
                    await self._measure(stack, self._workloads(world), folder, say)

    async def _measure(self, stack: Stack, workloads: list[Workload], folder: Path, say: rounds.Report) -> None:
        options, modes = self._options, self._modes
        samples, loads = Samples(), Samples()
        await rounds.run_rounds(
            stack, [w for w in workloads if w.name in self._wanted], modes, options.trials, samples, say
        )
        if mixed.NAME in self._wanted:
            again = -(-options.trials // mixed.COUNT)
            await rounds.run_at_once(stack, mixed.NAME, mixed.drawn(workloads), modes, again, samples, say)
        if "loads" in self._wanted:
            drawn = mixed.drawn(workloads)
            for count in FEW_LOADS if self._has_few_trials else LOADS:
                await rounds.run_at_once(stack, str(count), drawn, LOADED, self._seldom, loads, say, at_once=count)
        self.report.rows = rows_of(samples)
        at_once = [replace(row, workload=str(mixed.COUNT)) for row in self.report.rows if row.workload == mixed.NAME]
        self.report.loads = [*rows_of(loads), *(row for row in at_once if row.mode in LOADED)]
        self.report.timelines = timelines_of(samples)
        if "sweep" in self._wanted:
            units = FEW_UNITS if self._has_few_trials else UNITS
            self.report.points = await run_sweep(stack, RATIOS, units, self._seldom, say)
        if "overheads" in self._wanted:
            concurrent = CONCURRENT[:1] if options.quick else CONCURRENT
            self.report.overheads = await run_overheads(stack, concurrent, self._seldom, say)
            if not options.quick:
                say("overheads: what waking up costs")
                self.report.waking = await asyncio.to_thread(waking.measure)
        if "instead" in self._wanted:
            await self._instead(stack, workloads, folder, say)

    async def _instead(self, stack: Stack, workloads: Sequence[Workload], folder: Path, say: rounds.Report) -> None:
        say("starting vLLM")
        try:
            async with open_server(self._options.model, self._place, folder / "vllm.log") as server:
                chosen = self._compared(workloads)
                self.report.loops = await run_loops(stack, server, chosen, self._seldom, say)
        except (NoServerError, httpx.HTTPError) as error:
            self.report.without.append(f"no server and loop: {error}")

    def _compared(self, workloads: Sequence[Workload]) -> list[Workload]:
        """With a server and a loop: those that are measured, or all; with few trials, some of them."""
        plain = [workload for workload in workloads if not workload.settings]
        wanted = [workload for workload in plain if workload.name in self._wanted] or plain
        return [each for each in wanted if not self._has_few_trials or each.name in FEW_COMPARED] or wanted

    @property
    def _has_few_trials(self) -> bool:
        return bool(self._options.trials < ENOUGH)

    @property
    def _seldom(self) -> int:
        """Rounds of what takes long."""
        return max(1, int(self._options.trials) // ENOUGH)

    def _workloads(self, world: World) -> list[Workload]:
        if world.warehouse:
            return list(SUITE.values())
        self.report.without.append(f"no {mixed.ALONE}: {world.without}")
        self.report.left_out = mixed.ALONE
        return [workload for workload in SUITE.values() if workload.name != mixed.ALONE]

    @contextmanager
    def _saying(self) -> Iterator[rounds.Report]:
        """Tells what runs now: on a terminal in a line that changes, elsewhere in a line for each workload and part."""
        if self._console.is_terminal:
            with self._console.status("") as status:
                yield status.update
            return
        said = ""

        def say(what: str) -> None:
            nonlocal said
            part = what.partition(",")[0].partition(": ")[0]
            if part != said:
                self._console.print(what, highlight=False, soft_wrap=True)
            said = part

        yield say


def main(arguments: list[str] | None = None) -> int:
    """Measures, prints, records; gives the exit code."""
    options = _options(arguments)
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    cores = frozenset(os.sched_getaffinity(0))
    try:
        place = placement.shared(cores) if options.shared else placement.apart(cores)
    except ValueError as error:
        console.print(f"{error}", style="red", highlight=False)
        return 2
    machine, began = record.machine(), time.monotonic()
    measurement = Measurement(options, place, console)
    place.settle()
    with tempfile.TemporaryDirectory(prefix="conveyor-workloads-") as folder:
        try:
            asyncio.run(measurement(Path(folder)))
        except (Failure, WrongResultError, grpc.aio.AioRpcError, TimeoutError) as error:
            told = "\n".join((str(error), *getattr(error, "details", ())))
            console.print(told, style="red", markup=False, highlight=False, soft_wrap=True)
            return 2
        except KeyboardInterrupt:
            console.print("interrupted; nothing is recorded")
            return 130
    report = measurement.report
    report.seconds = round(time.monotonic() - began, 1)
    report.show(console)
    content = {"model": options.model, "search_seconds": options.search_seconds}
    name = "workloads-shared" if options.shared else "workloads" if report.whole else "workloads-some"
    path = record.write(name, machine, content | report.as_json(), options.json)
    console.print(f"{report.seconds / 60:.1f} minutes; recorded in {path}", highlight=False, soft_wrap=True)
    if options.page:
        page.show([path])
    return int(not all(bound.holds for bound in report.bounds))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.workloads", description="The paper's evaluation, redone."
    )
    add = parser.add_argument
    every = (*SUITE, *PARTS)
    add(
        "--only",
        metavar="A,B",
        type=_among(every),
        help=f"of: {', '.join(every)}; default: all, with --shared the workloads",
    )
    add("--modes", metavar="A,B", type=_among(tuple(MODES)), help="default: all four, with --shared serial and partial")
    add("--trials", metavar="N", type=_positive, default=30, help="rounds of each workload; default: 30")
    add("--model", default=DEFAULT, help=f"catalogue name or directory; default: {DEFAULT}")
    add("--search-seconds", metavar="S", type=float, default=0.6, help="what a web search takes; default: 0.6")
    add("--shared", action="store_true", help="decoder and tools compete for all cores")
    add("--quick", action="store_true", help="some of it once, in two modes: a minute, to see that it works")
    add("--json", metavar="FILE", type=Path, help="where to record the run; default: in benchmarks/results")
    add("--page", action="store_true", help="show the run in docs/evaluation.md")
    options = parser.parse_args(arguments)
    options.only = options.only or (QUICK if options.quick else tuple(SUITE) if options.shared else every)
    options.modes = options.modes or (LOADED if options.shared or options.quick else tuple(MODES))
    options.trials = 1 if options.quick else options.trials
    return options


def _among(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        names = tuple(name.strip() for name in text.split(",") if name.strip())
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; there are: {', '.join(known)}")
        return names

    return parse


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
