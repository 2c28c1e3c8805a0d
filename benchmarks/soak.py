"""Mixed load for an hour that must leave memory flat: `python -m benchmarks.soak --minutes 60`, or `make soak`.

The three services run as processes of their own with the real model. Short, long and shared prompts, tool turns,
constrained calls, JSON answers, callers that go away and deadlines that pass come at random, and every so often more
than the decoder takes. After a warm-up nobody asks for a moment and what each service holds is counted; then the load
runs, memory is sampled, and at the end it is counted again.

It fails, with exit code 1, if a service's memory has a trend upwards, if descriptors, threads, processes, sequences or
pages of the cache are not given back, or if an answer was wrong. The bounds are in `benchmarks/soaking/verdict.py`. The
run is recorded in `benchmarks/results`. Ctrl-C ends it early, with a report of what there is (exit code 130).
"""

import argparse
import asyncio
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from rich.console import Console
from rich.table import Table

from benchmarks import record
from benchmarks.soaking.load import Load
from benchmarks.soaking.requests import whole_cache
from benchmarks.soaking.verdict import MIB, MOST_GROWTH, complaints, lasting_memory, trends
from benchmarks.soaking.watch import Held, held_by
from decoder_service.models.catalogue import DEFAULT
from gateway.cli.failure import Failure
from gateway.cli.plan import Flags, Plan
from gateway.cli.processes import Services, free_addresses
from protos.conveyor.gateway.v1 import gateway_pb2_grpc

RUNNING, WAITING = 8, 8  # the decoder's places; the load asks for more than both
WORKERS, BURST, BURST_EVERY = 10, 12, 15.0
CACHE_GIB = 0.1  # 4,600 tokens: parked sequences lose their pages, and one completion can ask for all of it
LEAST_WARM_UP, MOST_WARM_UP = 40.0, 300.0  # seconds
QUIET_SECONDS, SETTLED_SECONDS = 30.0, 3.0  # until nobody is served any more; then, until what ends has ended
MOST_SAMPLES = 1000
SHOWN = {"memory_bytes": MIB, "descriptors": 1, "threads": 1, "processes": 1}
INTERRUPTED = 130


@dataclass(slots=True)
class Run:
    """What was seen. `times` are seconds from the end of the warm-up, with a sample of each service for each."""

    times: list[float] = field(default_factory=list)
    samples: dict[str, list[Held]] = field(default_factory=dict)
    before: dict[str, Held] = field(default_factory=dict)
    after: dict[str, Held] = field(default_factory=dict)
    warm_up_requests: int = 0
    faults: list[str] = field(default_factory=list)
    interrupted: bool = False

    def sample(self, seconds: float, processes: dict[str, int]) -> None:
        """Takes one of each service. Raises ProcessLookupError."""
        held = {name: held_by(process_id) for name, process_id in processes.items()}
        self.times.append(seconds)
        for name, each in held.items():
            self.samples.setdefault(name, []).append(each)


class Soak:
    """One run over services that are healthy."""

    def __init__(self, services: Services, load: Load, metrics: list[str], console: Console) -> None:
        self.run = Run()
        self.load = load
        self._services = services
        self._metrics = metrics
        self._console = console
        self._said = 0.0

    async def __call__(self, seconds: float) -> None:
        """Warms up, counts, loads for so long, counts again. Cancelled, it keeps what it has."""
        try:
            await self._load_for("warming up", min(MOST_WARM_UP, max(LEAST_WARM_UP, seconds / 6)), sample=False)
            self.run.warm_up_requests = self.load.done
            self.run.before = await self._at_rest()
            await self._load_for("load", seconds, sample=True)
            self.run.after = await self._at_rest()
        except asyncio.CancelledError:
            self.run.interrupted = True
            if task := asyncio.current_task():
                task.uncancel()

    async def _load_for(self, what: str, seconds: float, *, sample: bool) -> None:
        """Raises Failure when a service ends."""
        began = time.monotonic()
        work = asyncio.create_task(self.load.run(seconds))
        death = asyncio.create_task(self._services.wait_ended())
        period = max(0.5, seconds / MOST_SAMPLES)
        try:
            while not work.done():
                await asyncio.wait((work, death), timeout=period, return_when=asyncio.FIRST_COMPLETED)
                if death.done():
                    await death
                passed = time.monotonic() - began
                if sample and passed < seconds:
                    self.run.sample(passed, self._services.process_ids)
                self._say(f"{what}: {passed:.0f} of {seconds:.0f} s")
            await work
        finally:
            work.cancel()
            death.cancel()
            await asyncio.gather(work, death, return_exceptions=True)

    async def _at_rest(self) -> dict[str, Held]:
        """What is held once nobody is served. The whole cache must be free then: one completion gets all of it."""
        end = time.monotonic() + QUIET_SECONDS
        left = await asyncio.to_thread(served, self._metrics)
        while left and time.monotonic() < end:
            await asyncio.sleep(0.2)
            left = await asyncio.to_thread(served, self._metrics)
        self.run.faults += [f"{count:g} {name} with nobody asking" for name, count in left.items()]
        await self.load.ask(whole_cache())
        await asyncio.sleep(SETTLED_SECONDS)
        return {name: held_by(process_id) for name, process_id in self._services.process_ids.items()}

    def _say(self, what: str) -> None:
        """On a terminal a line that changes, elsewhere one now and then."""
        now = time.monotonic()
        if now - self._said < (1 if self._console.is_terminal else 15):
            return
        self._said = now
        memory = [
            f"{name} {held_by(pid).memory_bytes / MIB:.0f} MiB" for name, pid in self._services.process_ids.items()
        ]
        counts = f"{self.load.done} requests, {self.load.refused} refused, {self.load.fault_count} wrong"
        self._console.print(" · ".join([what, counts, *memory]), end="\r" if self._console.is_terminal else "\n")


def served(metrics: list[str]) -> dict[str, float]:
    """Sequences and completions that the services still have, by their metrics; empty when there are none."""
    found: dict[str, float] = {}
    for address in metrics:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as response:
            lines = response.read().decode().splitlines()
        for line in lines:
            name, _, value = line.rpartition(" ")
            if name.startswith(("conveyor_decoder_sequences", "conveyor_requests_running")) and float(value):
                found[name] = float(value)
    return found


async def soak(options: argparse.Namespace, console: Console, folder: Path) -> tuple[Run, Load]:
    """Starts the services, runs the load, stops them. Raises Failure where a service does not live."""
    *addresses, http, decoder_metrics = free_addresses(5)
    services = Services(Plan(_flags(options, addresses, http, decoder_metrics, folder)).services(), folder / "logs")
    async with services, grpc.aio.insecure_channel(addresses[0]) as channel:
        await services.wait_healthy()
        load = Load(gateway_pb2_grpc.GatewayServiceStub(channel), options.seed, WORKERS, BURST, BURST_EVERY)
        run = Soak(services, load, [http, decoder_metrics], console)
        await run(options.minutes * 60)
    run.run.faults += load.faults
    if not load.refused and not run.run.interrupted:
        run.run.faults.append("nobody was ever refused, so the load was less than it is meant to be")
    return run.run, load


def _flags(options: argparse.Namespace, addresses: list[str], http: str, metrics: str, folder: Path) -> Flags:
    gateway, decoder, tools = addresses
    return {
        ("gateway", "address"): gateway,
        ("gateway", "http-address"): http,
        ("decoder", "address"): decoder,
        ("decoder", "metrics-address"): metrics,
        ("decoder", "model"): options.model,
        ("decoder", "max-running"): str(RUNNING),
        ("decoder", "max-waiting"): str(WAITING),
        ("decoder", "kv-cache-gib"): str(CACHE_GIB),
        ("tools", "address"): tools,
        ("tools", "metrics-address"): "",
        ("tools", "state-folder"): str(folder / "state"),
    }


def main(arguments: list[str] | None = None) -> int:
    """Runs it, prints what came of it, records it; gives the exit code."""
    options = _options(arguments)
    console = Console()
    machine = record.machine()
    with tempfile.TemporaryDirectory(prefix="conveyor-soak-") as folder:
        try:
            run, load = asyncio.run(soak(options, console, Path(folder)))
        except Failure as failure:
            console.print(f"{failure}\n" + "\n".join(failure.details), style="red", markup=False)
            return 1
    grown = trends(run.times, run.samples)
    found = run.faults + complaints(grown, run.before, run.after if run.after else run.before)
    _show(console, run, load, grown, found)
    path = record.write("soak", machine, _content(options, run, load, grown, found), options.json)
    console.print(f"recorded in {path}", highlight=False, soft_wrap=True)
    return INTERRUPTED if run.interrupted else int(bool(found))


def _content(
    options: argparse.Namespace, run: Run, load: Load, grown: dict[str, float], found: list[str]
) -> dict[str, object]:
    return {
        "model": options.model,
        "minutes": options.minutes,
        "seed": options.seed,
        "interrupted": run.interrupted,
        "requests": load.done,
        "outcomes": {f"{kind}: {outcome}": count for (kind, outcome), count in sorted(load.outcomes.items())},
        "grown_bytes": grown,
        "most_grown_bytes": MOST_GROWTH,
        "complaints": found,
        "before": {name: held.as_json() for name, held in run.before.items()},
        "after": {name: held.as_json() for name, held in run.after.items()},
        "seconds": [round(seconds, 1) for seconds in run.times],
        "memory_bytes": {name: lasting_memory(each) for name, each in run.samples.items()},
    }


def _show(console: Console, run: Run, load: Load, grown: dict[str, float], found: list[str]) -> None:
    console.print()
    outcomes = Table(box=None, title=f"{load.done} requests, {run.warm_up_requests} of them to warm up")
    for column in ("kind", "ended", "count"):
        outcomes.add_column(column, justify="right" if column == "count" else "left", no_wrap=True)
    for (kind, outcome), count in sorted(load.outcomes.items()):
        outcomes.add_row(kind, outcome, str(count))
    console.print(outcomes)
    held = Table(box=None, title="What each service and its processes hold with nobody asking, before and after")
    for column in ("", "MiB", "trend", "descriptors", "threads", "processes"):
        held.add_column(column, justify="left" if not column else "right", no_wrap=True)
    for name, was in run.before.items():
        now = run.after.get(name, was)
        both = was.as_json(), now.as_json()
        cells = [" ".join(f"{held[what] / unit:.0f}" for held in both) for what, unit in SHOWN.items()]
        held.add_row(name, cells[0], f"{grown.get(name, 0) / MIB:+.1f}", *cells[1:])
    console.print(held)
    for complaint in found:
        console.print(complaint, style="red", markup=False, highlight=False, soft_wrap=True)
    console.print("interrupted" if run.interrupted else "memory is flat" if not found else "FAILED")


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--minutes", metavar="N", type=float, default=60.0, help="of load after the warm-up; default: 60")
    add("--model", default=DEFAULT, help=f"catalogue name or directory; default: {DEFAULT}")
    add("--seed", type=int, default=0, help="of the load; default: 0")
    add("--json", metavar="FILE", type=Path, help="where to record the run; default: in benchmarks/results")
    options = parser.parse_args(arguments)
    if options.minutes <= 0:
        parser.error("--minutes must be more than 0")
    return options


if __name__ == "__main__":
    sys.exit(main())
