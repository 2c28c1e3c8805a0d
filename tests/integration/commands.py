"""The command `conveyor` as a process, and a service of a test for it to ask."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
from typer.testing import CliRunner

from gateway.cli.app import app

ROOT = Path(__file__).parents[2]
CLI = (sys.executable, "-m", "gateway.cli")
BOUND = 30.0  # seconds: for what takes a few, unless it never comes
# Of a channel to a process that starts: gRPC would try again after ever more seconds.
AT_ONCE = (("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 100))


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(*CLI, *arguments),
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def conveyor(*arguments: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error."""
    process = await start(*arguments)
    try:
        async with asyncio.timeout(BOUND):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode or 0, output.decode(), errors.decode()


def in_this_process(*arguments: str) -> tuple[int, str, str]:
    """As `conveyor`, for commands that end before they ask anybody: a process for each takes half a second."""
    result = CliRunner().invoke(app, arguments, prog_name="conveyor")
    return result.exit_code, result.stdout, result.stderr


@contextlib.asynccontextmanager
async def serving(add_to_server: Callable[[Any, grpc.aio.Server], None], servicer: object) -> AsyncIterator[str]:
    """Serves what a test made on a free port, and gives its address."""
    server = grpc.aio.server()
    add_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)
