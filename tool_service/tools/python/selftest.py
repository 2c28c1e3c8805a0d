"""Tries every way out of the sandbox that is known here: `python -m tool_service.tools.python.selftest`.

Runs the programs of `corpus.py`, each in an interpreter of its own, under small limits, in a little world with secrets,
a neighbour and processes that must come to no harm. Prints a line for each escape, and how many were tried; the exit
code is 1 if one succeeded. Works wherever the service does, inside its container too.
"""

import argparse
import asyncio
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tool_service.tools.python.corpus import CORPUS, PREAMBLE, Attempt
from tool_service.tools.python.fork_server import ForkServer
from tool_service.tools.python.interpreter import Interpreter, InterpreterError, InterpreterLimits

LIMITS = InterpreterLimits(
    memory_bytes=768 << 20,
    cpu_seconds=3,
    file_bytes=16 << 20,
    spare_process_count=100,
    group_memory_bytes=700 << 20,
    group_task_count=64,
    folder_bytes=100 << 20,
    folder_files=2000,
    group_cpu_seconds=8,
)
AT_A_TIME = 4
ATTEMPT_SECONDS = 10.0  # no more than this is anyone's to run: then it is closed, as a tool's timeout would
MARK = "ESCAPED"
SECRET_VARIABLE = "SELFTEST_SECRET"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. `escape`: what it got hold of or harmed; empty if nothing."""

    attempt: Attempt
    escape: str
    output: str
    seconds: float


class World:
    """What the attempts are after."""

    def __init__(self, server: ForkServer, neighbour: Interpreter, neighbour_folder: str, neighbour_pid: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="conveyor-selftest-"))
        self.secret = os.environ[SECRET_VARIABLE]
        self.canary = self.folder / "canary"
        self.canary.write_text(self.secret)
        self.shared = Path("/dev/shm", f"conveyor-selftest-{os.getpid()}")
        with suppress(OSError):
            self.shared.write_text(self.secret)
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self._unix = socket.socket(socket.AF_UNIX)
        self._unix.bind(str(self.folder / "socket"))
        self._unix.listen()
        self._sleeper = subprocess.Popen(["sleep", "10000"])
        self._priority = os.getpriority(os.PRIO_PROCESS, self._sleeper.pid)
        self._neighbour = neighbour
        self._asking = asyncio.Lock()
        self._names = {
            "CANARY": str(self.canary),
            "CANARY_FOLDER": str(self.folder),
            "SERVICE": os.getpid(),
            "ZYGOTE": server.pid,
            "SLEEPER": self._sleeper.pid,
            "PORT": self._tcp.getsockname()[1],
            "SOCKET": str(self.folder / "socket"),
            "SHARED": str(self.shared),
            "NEIGHBOUR": neighbour_folder,
            "NEIGHBOUR_PID": neighbour_pid,
        }

    @property
    def preamble(self) -> str:
        """Defines what the attempts may know: all but the secret."""
        return PREAMBLE + "".join(f"{name} = {value!r}\n" for name, value in self._names.items())

    async def harm(self, output: str) -> str:
        """What has been got hold of or harmed."""
        if self.secret in output or MARK in output:
            return "it saw or did what it must not"
        if self.canary.read_text() != self.secret or len(list(self.folder.iterdir())) > 2:
            return "it changed the service's files"
        if self._sleeper.poll() is not None:
            return "it ended a process of the service"
        if os.getpriority(os.PRIO_PROCESS, self._sleeper.pid) != self._priority:
            return "it changed the priority of a process of the service"
        async with self._asking:
            with suppress(InterpreterError):
                if "well" in await _output(self._neighbour, "print('well')"):
                    return ""
        return "it ended its neighbour"

    def close(self) -> None:
        """Removes it all."""
        os.environ.pop(SECRET_VARIABLE, None)
        self._sleeper.kill()
        self._sleeper.wait()
        self._tcp.close()
        self._unix.close()
        self.shared.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


@asynccontextmanager
async def a_world(server: ForkServer) -> AsyncIterator[World]:
    """A world, with the neighbour in it."""
    os.environ[SECRET_VARIABLE] = secrets.token_hex(16)
    async with aclosing(await Interpreter.open(server)) as neighbour:
        secret = os.environ[SECRET_VARIABLE]
        where = await _output(
            neighbour, f"neighbours_secret = {secret!r}; open('secret', 'w').write(neighbours_secret)"
        )
        where = await _output(neighbour, "import os; print(os.path.dirname(os.getcwd()), os.getpid())")
        folder, pid = where.split()
        world = World(server, neighbour, folder, int(pid))
        try:
            yield world
        finally:
            world.close()


async def attempted(attempt: Attempt, world: World, server: ForkServer) -> Outcome:
    """Runs one, to its end or to its time's."""
    started = time.monotonic()
    output: list[str] = []
    async with aclosing(await Interpreter.open(server, LIMITS)) as interpreter:
        await tried(interpreter, attempt, world, output)
    text = "".join(output)
    return Outcome(attempt, await world.harm(text), text, time.monotonic() - started)


async def tried(interpreter: Interpreter, attempt: Attempt, world: World, output: list[str]) -> None:
    """Runs one in this interpreter and adds its output."""
    await _output(interpreter, world.preamble)
    with suppress(InterpreterError, TimeoutError):
        async with asyncio.timeout(ATTEMPT_SECONDS):
            await _collect(interpreter, attempt.code, output)


async def _collect(interpreter: Interpreter, code: str, output: list[str]) -> None:
    """The traceback counts too: it may quote what was seen."""
    try:
        async with aclosing(interpreter.run(code)) as pieces:
            async for piece in pieces:
                output.append(piece if isinstance(piece, str) else MARK)
    except InterpreterError as error:
        output.append(_without_source(str(error)))
        raise


def _without_source(traceback: str) -> str:
    """A traceback less the attempt's own lines, which may have the mark in them."""
    return "\n".join(line for line in traceback.splitlines() if not line.startswith("    "))


async def _output(interpreter: Interpreter, code: str) -> str:
    return "".join([piece async for piece in interpreter.run(code) if isinstance(piece, str)])


async def run(parts: list[str], verbose: bool) -> int:
    """Tries these parts of the corpus; gives the exit code."""
    server = ForkServer()
    escapes = count = 0
    try:
        async with a_world(server) as world:
            for part in parts:
                for outcome in await _part_attempted(part, world, server):
                    count += 1
                    escapes += bool(outcome.escape)
                    if outcome.escape or verbose:
                        _print(part, outcome)
    finally:
        server.close()
    print(f"{count} attempts as user {os.getuid()}, {escapes} escapes")
    return int(escapes > 0)


async def _part_attempted(part: str, world: World, server: ForkServer) -> list[Outcome]:
    """Several at a time; but what is to bring the machine down has it for itself."""
    places = asyncio.Semaphore(1 if part == "bombs" else AT_A_TIME)

    async def one(attempt: Attempt) -> Outcome:
        async with places:
            return await attempted(attempt, world, server)

    return await asyncio.gather(*map(one, CORPUS[part]))


def _print(part: str, outcome: Outcome) -> None:
    verdict = f"ESCAPE: {outcome.escape}" if outcome.escape else "held"
    print(f"{part}: {outcome.attempt.name}: {verdict} ({outcome.seconds:.2f} s)")
    print("    " + outcome.output[-300:].strip().replace("\n", "\n    "))


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description="Tries every way out of the sandbox of `python` that is known here.")
    parser.add_argument("parts", nargs="*", choices=[[], *CORPUS], help="which parts; default: all")
    parser.add_argument("--verbose", action="store_true", help="print every attempt")
    arguments = parser.parse_args()
    return asyncio.run(run(arguments.parts or list(CORPUS), arguments.verbose))


if __name__ == "__main__":
    sys.exit(main())
