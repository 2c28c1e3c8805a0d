"""What the gateway costs: `python -m benchmarks.gateway`.

The three services run as processes of their own, with the real model.

* 16 clients stream, straight from the decoder, through the gateway over gRPC, and as OpenAI's chat over HTTP, in turn.
  Through the gateway a token may come 1 ms later at the median, and a completion's first one 3 ms.
* 500 streams wait for a tool, over gRPC and over HTTP. The gateway's process may have 200 MB then.
* A client leaves, so many times, over gRPC and over HTTP. Sequence and tool must be free within 50 ms at the median.
* Four times as many clients as there are places: what those who are admitted wait for at p99, beside as many clients as
  there are places. Refusals carry a hint, which the clients heed.

Figures that are differences of small times want a quiet machine: the record says how busy it was. The exit code is 1
where a bound is missed. The run is recorded in `benchmarks/results`.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from rich.console import Console
from rich.table import Table

from benchmarks import record
from benchmarks.passing.idle import WAYS as BY
from benchmarks.passing.idle import Idle, run_idle
from benchmarks.passing.leaving import Leaving, NotFreedError, run_leaving
from benchmarks.passing.overload import TIMES, Load, run_overload
from benchmarks.passing.services import open_house
from benchmarks.passing.streams import Report, Way, run_streams
from benchmarks.passing.tools import STOPS
from decoder_service.models.catalogue import DEFAULT
from gateway.cli.failure import Failure

STREAMS, WORDS = 16, 96
PLACES, OVERLOAD_WORDS = 8, 24
MOST_FIRST_MS, MOST_LATER_MS = 3.0, 1.0
MOST_IDLE_BYTES = 200 * 10**6
MOST_LEAVING_MS = 50.0
PARTS = ("streams", "idle", "leaving", "overload")


@dataclass(slots=True)
class Run:
    """What was measured, by part."""

    streams: dict[str, Way] = field(default_factory=dict)
    idle: dict[str, Idle] = field(default_factory=dict)
    leaving: dict[str, Leaving] = field(default_factory=dict)
    overload: dict[str, Load] = field(default_factory=dict)

    def added(self, way: str, name: str) -> float:
        """Milliseconds that the gateway adds to tokens of this name at the median."""
        return self.streams[way].milliseconds(name, 50) - self.streams["straight"].milliseconds(name, 50)

    def misses(self) -> Iterator[str]:
        """Bounds that do not hold, in words."""
        for way in self.streams:
            for name, most in (("first", MOST_FIRST_MS), ("later", MOST_LATER_MS)):
                if way != "straight" and (added := self.added(way, name)) > most:
                    yield f"{way} adds {added:.2f} ms to {name} tokens (≤ {most:g})"
        for way, idle in self.idle.items():
            if idle.with_bytes > MOST_IDLE_BYTES:
                yield f"{idle.streams} idle streams over {way}: {idle.with_bytes / 1e6:.0f} MB (≤ 200)"
        for way, leaving in self.leaving.items():
            for name, milliseconds in leaving.as_json().items():
                if name.endswith("_p50") and milliseconds > MOST_LEAVING_MS:
                    yield f"leaving over {way}: {name} {milliseconds:.1f} ms (≤ {MOST_LEAVING_MS:g})"

    def as_json(self) -> dict[str, Any]:
        """The figures as data."""
        return {part: {name: each.as_json() for name, each in getattr(self, part).items()} for part in PARTS}


async def measure(options: argparse.Namespace, folder: Path, report: Report) -> Run:
    """All parts that are wanted. Raises Failure, NotFreedError, grpc.aio.AioRpcError."""
    run = Run()
    stops = folder / "stops"
    os.environ[STOPS] = str(stops)
    if {"streams", "leaving"} & set(options.only):
        async with open_house(options.model, folder / "one", {("decoder", "kv-cache-gib"): 1}) as house:
            if "streams" in options.only:
                run.streams = await run_streams(house, STREAMS, WORDS, options.rounds, report)
            if "leaving" in options.only:
                run.leaving = {way: await run_leaving(house, way, options.tries, stops, report) for way in BY}
    if "idle" in options.only:
        for way in BY:  # each in services of its own: what has been freed is not given back to the system at once
            async with open_house(options.model, folder / f"idle {way}", _roomy(options.idle)) as house:
                run.idle[way] = await run_idle(house, way, options.idle, report)
    if "overload" in options.only:
        settings = {("decoder", "max-running"): PLACES, ("decoder", "max-waiting"): 0, ("decoder", "kv-cache-gib"): 1}
        async with open_house(options.model, folder / "overload", settings) as house:
            run.overload = await run_overload(house, PLACES, OVERLOAD_WORDS, options.rounds, report)
    return run


def _roomy(count: int) -> dict[tuple[str, str], object]:
    """Settings with which so many completions are admitted everywhere."""
    places = count + 16
    return {
        ("gateway", "max-active"): places,
        ("gateway", "max-connections"): 2 * places,
        ("decoder", "max-waiting"): places,
        ("decoder", "kv-cache-gib"): 2,
        ("tools", "max-completions"): places,
    }


def main(arguments: list[str] | None = None) -> int:
    """Measures, prints tables, records the run; gives the exit code."""
    options = _options(arguments)
    console = Console()
    machine = record.machine()
    with tempfile.TemporaryDirectory(prefix="conveyor-gateway-") as folder, console.status("") as status:
        try:
            run = asyncio.run(measure(options, Path(folder), status.update))
        except (Failure, NotFreedError, grpc.aio.AioRpcError, TimeoutError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    _print(console, run)
    misses = list(run.misses())
    settings = {"model": options.model, "rounds": options.rounds, "tries": options.tries, "misses": misses}
    path = record.write(f"gateway-{Path(options.model).name}", machine, settings | run.as_json(), options.json)
    for miss in misses:
        console.print(f"MISSED: {miss}", style="red", highlight=False)
    console.print(f"recorded in {path}", highlight=False, soft_wrap=True)
    return int(bool(misses))


def _print(console: Console, run: Run) -> None:
    if run.streams:
        table = _table(
            f"{STREAMS} streams: ms from decoding to the client", "way", "first p50", "p99", "later p50", "p99"
        )
        for name, way in run.streams.items():
            cells = [way.milliseconds(which, share) for which in ("first", "later") for share in (50, 99)]
            table.add_row(name, *(f"{cell:.2f}" for cell in cells))
        for name in run.streams.keys() - {"straight"}:
            table.add_row(
                f"{name} adds", f"{run.added(name, 'first'):+.2f}", "", f"{run.added(name, 'later'):+.2f}", ""
            )
        console.print(table)
    if run.idle:
        table = _table("Idle streams: MB of the gateway's process", "way", "streams", "before", "with")
        for name, idle in run.idle.items():
            table.add_row(
                name, str(idle.streams), *(f"{each / 1e6:.0f}" for each in (idle.before_bytes, idle.with_bytes))
            )
        console.print(table)
    for title, part in (("Leaving: ms until free", run.leaving), (f"Overload ×{TIMES}: ms", run.overload)):
        for name, each in part.items():
            figures = ", ".join(f"{key} {value}" for key, value in each.as_json().items())
            console.print(f"{title}, {name}: {figures}", highlight=False, soft_wrap=True)


def _table(title: str, *columns: str) -> Table:
    table = Table(box=None, title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="left" if column == "way" else "right", no_wrap=True)
    return table


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway", description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--model", default=DEFAULT, help=f"catalogue name or directory; default: {DEFAULT}")
    add("--only", metavar="PART,...", type=_parts, default=PARTS, help=f"default: {','.join(PARTS)}")
    add("--rounds", metavar="N", type=int, default=5, help="of streams and overload; default: 5")
    add("--tries", metavar="N", type=int, default=50, help="of leaving; default: 50")
    add("--idle", metavar="N", type=int, default=500, help="idle streams; default: 500")
    add("--json", metavar="FILE", type=Path, help="where to record the run; default: in benchmarks/results")
    options = parser.parse_args(arguments)
    if min(options.rounds, options.tries, options.idle) < 1:
        parser.error("numbers must be 1 or more")
    return options


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(text.split(","))
    if unknown := set(parts) - set(PARTS):
        raise argparse.ArgumentTypeError(f"no part {sorted(unknown)[0]!r}; there are: {', '.join(PARTS)}")
    return parts


if __name__ == "__main__":
    sys.exit(main())
