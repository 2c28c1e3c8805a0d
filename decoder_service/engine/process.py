"""The engine in a process of its own, from outside: its start and its end.

It is a process and not a thread because that is faster: in a thread it shares the interpreter with the event loop, and
while that writes the messages of a step, the engine waits to go on. Measured by `python -m benchmarks.isolation`, 32
sessions that stream over gRPC on two cores, medians of 3 rounds; the thread does the same work over the same
connection:

    torch's threads   tokens/s: thread, process   ms between tokens, p50   p99
    1                 413   434 (1.05)            75.5   73.5              95.4   90.4
    2                 494   729 (1.48)            63.4   42.2              81.0   83.4

A part of the second line is the connection, which is no cost of threads: a thread that took its commands from a queue
and called the event loop, nothing pickled, was 1.09 and 1.18 times slower than a process when both were measured on a
less busy day. Beside that, the service's own process stays small, without torch, and an engine that is killed for want
of memory leaves one who says so.
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
    """One process, from its start to its end. Whoever started it stops it."""

    def __init__(self, process: Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._process = process
        self._reader, self._writer = reader, writer
        self._client: EngineClient | None = None

    @classmethod
    async def start(cls, settings: DecoderSettings) -> Self:
        """Starts it. It begins to load its model."""
        ours, theirs = socket.socketpair()
        with theirs:
            reader, writer = await asyncio.open_unix_connection(sock=ours)
            command = (sys.executable, "-m", "decoder_service.engine", str(theirs.fileno()))
            process = await asyncio.create_subprocess_exec(
                *leashed(signal.SIGKILL, *command), stdin=DEVNULL, pass_fds=(theirs.fileno(),)
            )
        writer.write(frame(settings))
        return cls(process, reader, writer)

    async def loaded(self, max_sequences: int) -> tuple[Hello, EngineClient]:
        """Waits until the model is loaded.

        Raises ModelError where the model is not to be had or not to be served, OSError where it cannot be read, and
        EngineStoppedError where the process ends without a word.
        """
        try:
            said: Hello | Exception = await read(self._reader)
        except (EOFError, ConnectionError):
            raise EngineStoppedError(_ending(await _ended(self._process, STOP_SECONDS))) from None
        if isinstance(said, Exception):
            raise said
        self._client = EngineClient(self._reader, self._writer, max_sequences)
        return said, self._client

    async def stop(self) -> None:
        """Ends it: at once while it loads, then after its running step. Raises EngineStoppedError where it had ended by
        itself."""
        if self._client is None:
            self._writer.transport.abort()
            await _ended(self._process, 0)
            return
        had_failed = self._client.failed.is_set()
        await self._client.close()
        status = await _ended(self._process, STOP_SECONDS)
        if had_failed:
            raise EngineStoppedError(_ending(status))


async def _ended(process: Process, seconds: float) -> int:
    """Its exit status. After so many seconds it is killed, and when nobody waits for it any more."""
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        if seconds:
            log.warning("the engine's process does not end and is killed", seconds=seconds)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    return await process.wait()


def _ending(status: int) -> str:
    why = "; out of memory?" if status == -signal.SIGKILL else ""
    return f"the engine's process {how_it_ended(status)}{why}"
