"""The engine in a process of its own, from outside: its start and its end.

FIGURES
"""

import asyncio
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from contextlib import suppress
from typing import Self

import structlog

from decoder_service.engine.client import EngineClient
from decoder_service.engine.connection import frame, read
from decoder_service.engine.hello import Hello
from decoder_service.settings import DecoderSettings
from protos.rpc.endings import how_it_ended
from protos.rpc.leash import leashed

log = structlog.get_logger()

STOP_SECONDS = 10.0  # for the running step, and what is being compiled


class EngineStoppedError(Exception):
    """The engine's process has ended by itself; nothing can be decoded any more. The message says how it ended."""


class EngineProcess:
    """A running engine. `hello` is what it said of itself; `client` leads to it."""

    def __init__(self, process: Process, hello: Hello, client: EngineClient) -> None:
        self._process = process
        self.hello = hello
        self.client = client

    @classmethod
    async def start(cls, settings: DecoderSettings) -> Self:
        """Starts one, and waits until its model is loaded. Cancelled, it leaves no process.

        Raises ModelError where the model is not to be had or not to be served, OSError where it cannot be read, and
        EngineStoppedError where the process ends without a word.
        """
        process, reader, writer = await _spawn()
        try:
            writer.write(frame(settings))
            hello = await _hello(reader)
        except EOFError:
            writer.transport.abort()
            raise EngineStoppedError(_ending(await _ended(process, STOP_SECONDS))) from None
        except BaseException:
            writer.transport.abort()
            await _ended(process, 0)
            raise
        return cls(process, hello, EngineClient(reader, writer, settings.max_running + settings.max_waiting))

    async def stop(self) -> None:
        """Ends it after its running step, or kills it. Raises EngineStoppedError where it had ended by itself."""
        had_failed = self.client.failed.is_set()
        await self.client.close()
        status = await _ended(self._process, STOP_SECONDS)
        if had_failed:
            raise EngineStoppedError(_ending(status))


async def _spawn() -> tuple[Process, asyncio.StreamReader, asyncio.StreamWriter]:
    ours, theirs = socket.socketpair()
    with theirs:
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        command = (sys.executable, "-m", "decoder_service.engine", str(theirs.fileno()))
        try:
            process = await asyncio.create_subprocess_exec(
                *leashed(signal.SIGKILL, *command), stdin=DEVNULL, pass_fds=(theirs.fileno(),)
            )
        except BaseException:
            writer.transport.abort()
            raise
    return process, reader, writer


async def _hello(reader: asyncio.StreamReader) -> Hello:
    """Raises what the engine's process says of why it cannot serve, and EOFError where it ends without a word."""
    said: Hello | Exception = await read(reader)
    if isinstance(said, Exception):
        raise said
    return said


async def _ended(process: Process, seconds: float) -> int:
    """Its exit status. After so many seconds it is killed, and when nobody waits for it any more."""
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        log.debug("the engine is killed", seconds=seconds)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    return await process.wait()


def _ending(status: int) -> str:
    why = "; out of memory?" if status == -signal.SIGKILL else ""
    return f"the engine's process {how_it_ended(status)}{why}"
