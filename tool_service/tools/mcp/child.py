"""Speaks with a server that is a process of ours, over its standard streams: one JSON message a line.

The SDK has such a transport. This one bounds what a server may send (the length of a line, garbage between messages,
its standard error) and sees to it that the processes end with the service, in whatever way that ends.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

import anyio
import structlog
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from tool_service.execution.to_the_end import to_the_end
from tool_service.tools.mcp.link import MAX_MESSAGE_BYTES, Link
from tool_service.tools.mcp.pace import Pace
from tool_service.tools.mcp.settings import McpServerSettings

LAUNCHER = str(Path(__file__).with_name("launcher.py"))
INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TZ", "TMPDIR", "LANG", "LANGUAGE")
CHUNK_BYTES = 1 << 16
MAX_GARBAGE_LINES = 100  # in a row
STALL_SECONDS = 10.0  # that a server may leave its standard input unread
GRACE_SECONDS = 1.0  # after its input was closed, and again after SIGTERM
DEATH_SECONDS = 0.5  # for the last words of one that has ended
POLL_SECONDS = 0.005
STDERR_BYTES_PER_SECOND = 256 << 10
STDERR_BURST = 1 << 20
STDERR_LINE_CHARS = 500
LAST_WORDS_LINES = 3
LAST_WORDS_CHARS = 150

Streams = tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]
log = structlog.get_logger()


@contextlib.asynccontextmanager
async def child_transport(name: str, settings: McpServerSettings, link: Link) -> AsyncIterator[Streams]:
    """Starts the server; at the end it and all that it started are gone. Raises OSError where it cannot start."""
    async with _Child.start(name, settings, link) as child:
        to_us, inbound = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        outbound, from_us = anyio.create_memory_object_stream[SessionMessage](0)
        tasks = [asyncio.create_task(child.read(to_us)), asyncio.create_task(child.write(from_us))]
        try:
            yield inbound, outbound
        finally:
            for task in tasks:
                task.cancel()
            for stream in (to_us, inbound, outbound, from_us):
                stream.close()
            await asyncio.gather(*tasks, return_exceptions=True)


class LineSplitter:
    """Cuts bytes into lines. Raises ValueError at a line longer than `limit`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that the new bytes complete, without their ends."""
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0] = bytes(self._rest) + lines[0]
            self._rest = bytearray(rest)
        else:
            self._rest += rest
        if len(self._rest) > self._limit or any(len(line) > self._limit for line in lines):
            raise ValueError(f"it sent a line of more than {self._limit} bytes")
        return lines


class _Child:
    """The server's process, behind the launcher."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], lifeline: socket.socket, link: Link) -> None:
        self._name = name
        self._process = process
        self._lifeline = lifeline
        self._link = link
        self._last_words: deque[str] = deque(maxlen=LAST_WORDS_LINES)
        self._pipes: list[asyncio.BaseTransport] = []
        self._ended = asyncio.create_task(self._hear_end())
        self._errors: asyncio.Task[None] | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def start(cls, name: str, settings: McpServerSettings, link: Link) -> AsyncIterator["_Child"]:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with ours:  # its end is the end of the server, whatever goes wrong here
            with theirs:
                child = cls(name, _start(settings, theirs.fileno()), ours, link)
            try:
                await child._connect()
                yield child
            finally:
                await to_the_end(child._stop())

    async def _connect(self) -> None:
        assert self._process.stdin and self._process.stdout and self._process.stderr
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)  # the one protocol with flow control that asyncio offers
        transport, _ = await loop.connect_write_pipe(lambda: protocol, self._process.stdin)
        self._pipes.append(transport)
        self._input = asyncio.StreamWriter(transport, protocol, reader, loop)
        self._output = await self._reader(self._process.stdout)
        self._errors = asyncio.create_task(self._log_errors(await self._reader(self._process.stderr)))

    async def _reader(self, pipe: IO[bytes]) -> asyncio.StreamReader:
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        self._pipes.append(transport)
        return reader

    async def read(self, to_us: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
        """Passes its messages on until it ends or says what it must not."""
        cause = ""
        try:
            await self._read_messages(to_us)
        except ValueError as error:
            cause = str(error)
        except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        self._link.cause = self._link.cause or cause or await self._how_it_ended()
        to_us.close()

    async def write(self, from_us: MemoryObjectReceiveStream[SessionMessage]) -> None:
        """Passes our messages on; a server that does not take them is given up."""
        with contextlib.suppress(OSError, anyio.ClosedResourceError):
            async for message in from_us:
                text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                self._input.write(f"{text}\n".encode())
                try:
                    async with asyncio.timeout(STALL_SECONDS):
                        await self._input.drain()
                except TimeoutError:
                    self._link.end("it does not read its standard input")
                    return

    async def _read_messages(self, to_us: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
        lines = LineSplitter(MAX_MESSAGE_BYTES)
        garbage = 0
        while data := await self._output.read(CHUNK_BYTES):
            for line in lines.feed(data):
                if not line.strip():
                    continue
                try:
                    message = SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
                except ValueError:
                    garbage += 1
                    log.debug("mcp server wrote what is no message", server=self._name, text=_cut(line))
                    if garbage > MAX_GARBAGE_LINES:
                        raise ValueError("it writes what is no MCP to its standard output") from None
                    await asyncio.sleep(0)
                    continue
                garbage = 0
                await to_us.send(message)

    async def _log_errors(self, errors: asyncio.StreamReader) -> None:
        """Logs its standard error, a line at a time, no faster than anyone could want."""
        pace = Pace(STDERR_BYTES_PER_SECOND, STDERR_BURST)
        rest = b""
        with contextlib.suppress(OSError):
            while data := await errors.read(CHUNK_BYTES):
                *lines, rest = (rest + data).split(b"\n")
                rest = rest[:CHUNK_BYTES]
                self._hear_errors(lines)
                await pace.spend(len(data))
            self._hear_errors([rest])

    def _hear_errors(self, lines: list[bytes]) -> None:
        for line in lines:
            if text := _cut(line):
                self._last_words.append(text[:LAST_WORDS_CHARS])
                log.debug("mcp server says", server=self._name, text=text)

    async def _hear_end(self) -> str:
        """Waits for the launcher's end; what it told of the server's."""
        told = b""
        with contextlib.suppress(OSError):
            while data := await asyncio.get_running_loop().sock_recv(self._lifeline, 4096):
                told += data
        return told.decode(errors="replace")

    async def _how_it_ended(self) -> str:
        if not await self._gone(DEATH_SECONDS):
            return "it closed its standard output"
        if self._errors is not None:
            await asyncio.wait({self._errors}, timeout=DEATH_SECONDS)
        said = f"; it said: {' | '.join(self._last_words)}" if self._last_words else ""
        return f"{self._ended.result() or 'its launcher was killed'}{said}"

    async def _gone(self, seconds: float) -> bool:
        done, _ = await asyncio.wait({self._ended}, timeout=seconds)
        return bool(done)

    async def _reaped(self, seconds: float) -> None:
        """Waits until the launcher has ended and its number is free."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._process.poll() is None:  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(POLL_SECONDS)

    async def _stop(self) -> None:
        """Closes its input, asks it to end, kills it and all that it started: a few seconds at most."""
        if self._pipes:
            self._pipes[0].close()
        if not await self._gone(GRACE_SECONDS):
            self._signal(signal.SIGTERM)
            await self._gone(GRACE_SECONDS)
        with contextlib.suppress(OSError):
            self._lifeline.shutdown(socket.SHUT_WR)
        await self._gone(GRACE_SECONDS)
        self._signal(signal.SIGKILL)
        await self._reaped(GRACE_SECONDS)
        tasks = [task for task in (self._ended, self._errors) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._close_pipes()

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:  # else the group's number may be another's
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def _close_pipes(self) -> None:
        for transport in self._pipes:
            transport.close()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr)[len(self._pipes) :]:
            if pipe is not None:
                pipe.close()


def _start(settings: McpServerSettings, lifeline: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", LAUNCHER, str(lifeline), *settings.command],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(settings),
        cwd=settings.cwd or None,
        start_new_session=True,
        pass_fds=(lifeline,),
    )


def environment(settings: McpServerSettings) -> dict[str, str]:
    """The server's variables: few of the service's, none that could be a secret, and its own."""
    kept = {name: value for name, value in os.environ.items() if name in INHERITED or name.startswith("LC_")}
    return {**kept, **settings.env}


def _cut(line: bytes) -> str:
    return line[: 4 * STDERR_LINE_CHARS].decode(errors="replace").strip()[:STDERR_LINE_CHARS]
