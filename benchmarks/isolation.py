"""The engine in a thread against the engine in a process of its own: `python -m benchmarks.isolation`.

32 sessions stream from the decoder's gRPC service on loopback, one message for each token, for every number of torch's
threads: tokens a second of all together, and the milliseconds between two tokens of a session as the client sees them.
Both variants are loaded, and rounds of both go in turn. The run is recorded in `benchmarks/results`.
"""

import argparse
import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from pathlib import Path

import grpc
from rich.console import Console
from rich.table import Table

from benchmarks import record
from benchmarks.decoding.figures import Spread
from benchmarks.decoding.rounds import turned
from benchmarks.isolating.sessions import Streamed, TooShortError, stream
from decoder_service.models.catalogue import DEFAULT
from protos.conveyor.decoder.v1 import decoder_pb2_grpc

VARIANTS = ("thread", "process")
LOAD_SECONDS, STOP_SECONDS = 300.0, 15.0

Rounds = dict[str, list[Streamed]]


class ServerFailedError(Exception):
    """A server did not come up."""


@contextlib.asynccontextmanager
async def serving(
    variant: str, options: argparse.Namespace, threads: int
) -> AsyncIterator["decoder_pb2_grpc.DecoderServiceAsyncStub"]:
    """A server in a process of its own. Raises ServerFailedError."""
    command = (sys.executable, "-m", "benchmarks.isolating.server", variant, "--model", options.model)
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    process = await asyncio.create_subprocess_exec(
        *(*command, "--threads", str(threads), "--switch-interval", str(options.switch_interval)),
        stdin=PIPE,
        stdout=PIPE,
        env=environment,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(LOAD_SECONDS):
            line = await process.stdout.readline()
        if not line.strip().isdigit():
            raise ServerFailedError(f"the server with its engine in a {variant} did not start; its log is above")
        async with grpc.aio.insecure_channel(f"127.0.0.1:{int(line)}") as channel:
            yield decoder_pb2_grpc.DecoderServiceStub(channel)
    finally:
        await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Its standard input ends; what does not end by that is killed."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()


async def measure(options: argparse.Namespace, threads: int, say: Callable[[str], None]) -> Rounds:
    """Both variants in turn, after a round each that is not counted."""
    found: Rounds = {variant: [] for variant in VARIANTS}
    async with contextlib.AsyncExitStack() as stack:
        stubs = {}
        for variant in VARIANTS:
            say(f"{threads} threads: loading the engine in a {variant}")
            stubs[variant] = await stack.enter_async_context(serving(variant, options, threads))
        for number in range(options.rounds + 1):
            for variant in turned(VARIANTS, number):
                say(f"{threads} threads, round {number} of {options.rounds}: {variant}")
                streamed = await stream(stubs[variant], options.sessions, options.tokens, number)
                if number:
                    found[variant].append(streamed)
    return found


def gain(rounds: Rounds) -> float:
    """Median tokens a second with a process of its own, over those with a thread."""
    of = {variant: Spread.of([each.rate for each in rounds[variant]]).median for variant in VARIANTS}
    return of["process"] / of["thread"]


def main(arguments: list[str] | None = None) -> int:
    """Measures, prints a table, records the run; gives the exit code."""
    options = _options(arguments)
    console = Console()
    machine = record.machine()
    with console.status("") as status:
        try:
            found = {threads: asyncio.run(measure(options, threads, status.update)) for threads in options.threads}
        except (ServerFailedError, TooShortError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    _print(console, options, found)
    settings = {key: getattr(options, key) for key in ("model", "rounds", "sessions", "tokens", "switch_interval")}
    figures = {
        str(threads): {"gain": gain(rounds)} | {name: [asdict(each) for each in of] for name, of in rounds.items()}
        for threads, rounds in found.items()
    }
    path = record.write(f"isolation-{Path(options.model).name}", machine, settings | {"threads": figures}, options.json)
    console.print(f"recorded in {path}", highlight=False, soft_wrap=True)
    return 0


def _print(console: Console, options: argparse.Namespace, found: dict[int, Rounds]) -> None:
    title = (
        f"{options.sessions} sessions: tokens/s, ms between two tokens of one; medians of {options.rounds} (least–most)"
    )
    table = Table(box=None, title=title, title_justify="left")
    for column in ("threads", "engine", "tokens/s", "ms p50", "ms p99"):
        table.add_column(column, justify="left" if column == "engine" else "right", no_wrap=True)
    for threads, rounds in found.items():
        for variant, of in rounds.items():
            spreads = [Spread.of([getattr(each, name) for each in of]) for name in ("rate", "p50", "p99")]
            table.add_row(str(threads), variant, *(f"{s.median:.1f} ({s.least:.1f}–{s.most:.1f})" for s in spreads))
    console.print(table)
    for threads, rounds in found.items():
        console.print(f"{threads} threads: process / thread = {gain(rounds):.2f}", highlight=False)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.isolation", description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--model", default=DEFAULT, help=f"catalogue name or directory; default: {DEFAULT}")
    add("--threads", metavar="N,...", type=_counts, default=(1, 2), help="torch's threads; default: 1,2")
    add("--sessions", metavar="N", type=int, default=32, help="default: 32")
    add("--tokens", metavar="N", type=int, default=192, help="of a session, about; default: 192")
    add("--rounds", metavar="N", type=int, default=5, help="default: 5")
    add(
        "--switch-interval",
        metavar="SECONDS",
        type=float,
        default=sys.getswitchinterval(),
        help="after which the interpreter lets another thread run; default: Python's",
    )
    add("--json", metavar="FILE", type=Path, help="where to record the run; default: in benchmarks/results")
    options = parser.parse_args(arguments)
    if min(options.rounds, options.sessions, options.tokens, *options.threads) < 1:
        parser.error("numbers must be 1 or more")
    return options


def _counts(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


if __name__ == "__main__":
    sys.exit(main())
