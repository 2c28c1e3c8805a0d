"""How fast the interpreter of the `python` tool is: `python -m benchmarks.interpreter`.

    fresh        an interpreter, from the request to its readiness        p50 at most 20 milliseconds
    imports      `import pandas`, and a first figure, in a fresh one
    statement    a trivial one, warm, from the request to its answer       p50 at most 1 millisecond
    output       100 MB printed by one statement, cut                     at most 1 second
    end          from a cancel to the last death of 60 processes with 1.9 GB  at most 200 milliseconds

Fresh ones are compared with those that another way would give: Python started anew for each, once bare and once with
the imports that the fork server has done, and the same in bubblewrap where `bwrap` is installed. Rounds of all ways go
in turn, so that a busy minute of the machine falls on each. The exit code is 1 if a bound is not held.
"""

import argparse
import asyncio
import json
import os
import re
import select
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tool_service.tools.python.font_cache import default_font_cache
from tool_service.tools.python.fork_server import PRELOAD, ForkServer
from tool_service.tools.python.interpreter import Interpreter

FRESH_P50, STATEMENT_P50 = 20.0, 1.0  # milliseconds
OUTPUT_MILLISECONDS = 1000.0
END_MILLISECONDS = 200.0
STATEMENTS_PER_ROUND = 20
FIGURE = "import matplotlib.pyplot as plt\nplt.plot([1, 2, 3])\nplt.show()"
GROUP = """import os, time
pids = []
for _ in range(60):
    if (pid := os.fork()) == 0:
        hoard = bytearray(32 << 20)
        os.write(1, b"+")
        time.sleep(600)
    pids.append(pid)
print(pids)
time.sleep(600)
"""
IMPORTS = "import " + ", ".join(PRELOAD)
IN_BUBBLEWRAP = [
    *("bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"),
    *("--unshare-all", "--die-with-parent"),
]


@dataclass(frozen=True, slots=True)
class Figure:
    """Milliseconds of something, over all rounds."""

    name: str
    p50: float
    p99: float
    count: int
    bound: float | None = None  # of p50

    @property
    def holds(self) -> bool:
        """Whether it is within its bound."""
        return self.bound is None or self.p50 <= self.bound


class Samples:
    """Milliseconds, by what was measured."""

    def __init__(self) -> None:
        self._times: dict[str, list[float]] = {}

    def add(self, name: str, started: float) -> None:
        """What has passed since `started`."""
        self._times.setdefault(name, []).append((time.perf_counter() - started) * 1000)

    def figures(self, bounds: dict[str, float]) -> list[Figure]:
        """What came out."""
        return [
            Figure(name, statistics.median(times), sorted(times)[len(times) * 99 // 100], len(times), bounds.get(name))
            for name, times in self._times.items()
        ]


async def measure(rounds: int, status: Callable[[str], None]) -> list[Figure]:
    """Goes through all of it so many times."""
    samples = Samples()
    server = ForkServer()
    ways = other_ways()
    environment = {**os.environ, "MPLCONFIGDIR": str(default_font_cache())}
    try:
        await server.ready()
        await _forked(server, Samples())  # warms up
        for number in range(rounds):
            status(f"round {number + 1} of {rounds}")
            await _forked(server, samples)
            if number < max(3, rounds // 10):
                await _flood(server, samples)
                await _ended_group(server, samples)
                for name, command in ways.items():
                    started = time.perf_counter()
                    await asyncio.to_thread(subprocess.run, command, check=True, env=environment)
                    samples.add(name, started)
    finally:
        server.close()
    bounds = {"fresh": FRESH_P50, "statement": STATEMENT_P50}
    return samples.figures(bounds | {"output of 100 MB": OUTPUT_MILLISECONDS, "end of 60 processes": END_MILLISECONDS})


def other_ways() -> dict[str, list[str]]:
    """Commands that start Python, and end it again, without the fork server."""
    python = [sys.executable, "-I", "-c"]
    ways = {"Python anew, bare": [*python, "pass"], "Python anew, with imports": [*python, IMPORTS]}
    fonts = str(default_font_cache())
    bubblewrap = [*IN_BUBBLEWRAP, "--bind", fonts, fonts, *python]
    if shutil.which("bwrap") and subprocess.run([*bubblewrap, "pass"], capture_output=True).returncode == 0:
        ways |= {"bubblewrap, bare": [*bubblewrap, "pass"], "bubblewrap, with imports": [*bubblewrap, IMPORTS]}
    return ways


async def _forked(server: ForkServer, samples: Samples) -> None:
    started = time.perf_counter()
    async with aclosing(await Interpreter.open(server)) as interpreter:
        samples.add("fresh", started)
        for name, code in {"import pandas": "import pandas", "first figure": FIGURE}.items():
            started = time.perf_counter()
            await _run(interpreter, code)
            samples.add(name, started)
        for _ in range(STATEMENTS_PER_ROUND):
            started = time.perf_counter()
            await _run(interpreter, "x = 1")
            samples.add("statement", started)


async def _flood(server: ForkServer, samples: Samples) -> None:
    async with aclosing(await Interpreter.open(server)) as interpreter:
        started = time.perf_counter()
        await _run(interpreter, "print('x' * 100_000_000)")
        samples.add("output of 100 MB", started)


async def _ended_group(server: ForkServer, samples: Samples) -> None:
    """From the request to the last process's death."""
    interpreter = await Interpreter.open(server)
    text = ""
    async with aclosing(interpreter.run(GROUP)) as pieces:
        async for piece in pieces:
            text += str(piece)
            if text.count("+") == 60 and "]" in text:
                break
        descriptors = [os.pidfd_open(int(pid)) for pid in re.findall(r"\d+", text)]
        started = time.perf_counter()
    await interpreter.aclose()
    for descriptor in descriptors:
        select.select([descriptor], [], [])
        os.close(descriptor)
    samples.add("end of 60 processes", started)


async def _run(interpreter: Interpreter, code: str) -> None:
    async with aclosing(interpreter.run(code)) as pieces:
        async for _ in pieces:
            pass


def main() -> int:
    """Measures, prints a table, writes JSON where it is told to; gives the exit code."""
    options = _options()
    console = Console()
    with console.status("") as status:
        figures = asyncio.run(measure(options.rounds, status.update))
    if options.json:
        options.json.write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n")
    _print(console, figures)
    return int(not all(figure.holds for figure in figures))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.interpreter", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--rounds", metavar="N", type=int, default=100, help="fresh interpreters; default: 100")
    parser.add_argument("--json", metavar="FILE", type=Path, help="where to write the figures")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    return options


def _print(console: Console, figures: Sequence[Figure]) -> None:
    table = Table(box=None, title="Milliseconds", title_justify="left")
    for column in ("", "p50", "p99", "samples", "bound"):
        table.add_column(column, justify="left" if not column else "right", no_wrap=True)
    for each in figures:
        bound = "" if each.bound is None else f"≤ {each.bound:g}{'' if each.holds else ' MISSED'}"
        table.add_row(each.name, f"{each.p50:.2f}", f"{each.p99:.2f}", str(each.count), bound)
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
