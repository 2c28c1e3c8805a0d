"""Nothing outlives its owner: interpreters that are cancelled or killed at random moments, with their fork server."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Iterable
from contextlib import aclosing, suppress
from pathlib import Path

import pytest

from tests.processes import until
from tool_service.tools.python import workplace
from tool_service.tools.python.fork_server import ForkServer
from tool_service.tools.python.interpreter import Interpreter, InterpreterError

REPOSITORY = Path(__file__).parents[5]
FAMILY = """
import os, subprocess
child = subprocess.Popen(["sleep", "1000"])
if os.fork() == 0:
    os.fork()
    while True: pass
print(child.pid, flush=True)
while True: pass
"""
COUNTS = [20, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(300)])]


def processes_of(folder: Path) -> list[int]:
    """Everything that was started with this folder in its environment, and still runs."""
    found = []
    for path in Path("/proc").iterdir():
        with suppress(OSError):
            if path.name.isdigit() and str(folder).encode() in (path / "environ").read_bytes():
                found.append(int(path.name))
    return found


async def only(folder: Path, expected: Iterable[int] = ()) -> None:
    """Waits until no process is there besides those that are expected; nothing tells of such an end."""
    await until(lambda: set(processes_of(folder)) <= set(expected))


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setattr(workplace.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("CONVEYOR_CACHE", str(tmp_path))
    server = ForkServer(())
    yield server
    server.close()


async def use(server: ForkServer) -> None:
    """Opens an interpreter and has it do nothing, with children, until it is stopped."""
    async with aclosing(await Interpreter.open(server)) as interpreter:
        async for _ in interpreter.run(FAMILY):
            pass


@pytest.mark.parametrize("count", COUNTS)
async def test_no_orphan_and_no_file_after_random_cancels(server, tmp_path, count):
    await server.ready()
    rng = random.Random(4)
    for _ in range(count):
        tasks = [asyncio.create_task(use(server)) for _ in range(2)]
        await asyncio.sleep(rng.uniform(0, 0.06))
        for task in tasks:
            task.cancel()
        assert all(
            isinstance(result, asyncio.CancelledError)
            for result in await asyncio.gather(*tasks, return_exceptions=True)
        )
    await only(tmp_path, [server.pid])
    assert list(tmp_path.glob(f"{workplace.PREFIX}*")) == []


@pytest.mark.parametrize("count", COUNTS)
async def test_no_orphan_and_no_file_after_random_kills_of_workers(server, tmp_path, count):
    rng = random.Random(4)
    zygotes = set()
    for number in range(count):
        await server.ready()
        zygotes.add(server.pid)
        tasks = [asyncio.create_task(use(server)) for _ in range(2)]
        await asyncio.sleep(rng.uniform(0, 0.06))
        with suppress(ProcessLookupError):
            victim = server.pid if number % 5 == 4 else rng.choice(processes_of(tmp_path))
            os.kill(victim, signal.SIGKILL)
        await asyncio.sleep(rng.uniform(0, 0.02))
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, InterpreterError | asyncio.CancelledError) for result in results), results
    async with aclosing(await Interpreter.open(server)) as interpreter:
        assert "".join([str(piece) async for piece in interpreter.run("print(6 * 7)")]) == "42\n"
    await only(tmp_path, [server.pid])
    assert list(tmp_path.glob(f"{workplace.PREFIX}*")) == []
    assert len(zygotes) >= count // 5


SERVICE = f"""
import asyncio
from tests.interpreters import opened

async def main():
    interpreter = await opened()
    async for text in interpreter.run({FAMILY!r}):
        print(text, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_nothing_is_left_of_a_service_that_was_killed(tmp_path, number):
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY),
        "TMPDIR": str(tmp_path),
        "CONVEYOR_CACHE": str(tmp_path),
    }
    service = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVICE, stdout=asyncio.subprocess.PIPE, env=environment
    )
    assert service.stdout is not None
    try:
        started = await service.stdout.readline()
    finally:
        service.send_signal(number)
        await service.communicate()
    assert started.strip().isdigit()
    await only(tmp_path)
    await until(lambda: list(tmp_path.glob(f"{workplace.PREFIX}*")) == [])
