"""The process behind an interpreter: forked, talked with, killed with its whole group; the event loop never blocks.

The child has two ways out. What it and its own children print comes through a pipe, in the order in which it was
printed. The frames of `frames.py` go over a socket. When an answer is on the socket, everything that was printed
before it is already in the pipe, so what the pipe holds at that moment (FIONREAD) is the rest of that statement's
output, neither more nor less. The same holds for a figure and what was printed before it.

The socket is at its end when the child is. The child is a group leader that the fork server has not buried until
`dispose`, so its number cannot belong to anyone else while the group may still be killed.
"""

import array
import asyncio
import contextlib
import fcntl
import logging
import os
import socket
import termios
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tool_service.tools.python import frames
from tool_service.tools.python.fork_server import Forked, ForkServer
from tool_service.tools.python.workplace import Workplace

CHUNK_BYTES = 1 << 16
DEATH_SECONDS = 5.0  # from SIGKILL to the process's end, before its folder is removed regardless

_log = logging.getLogger(__name__)
_cleaners = ThreadPoolExecutor(max_workers=2, thread_name_prefix="python-tool-cleaner")


class ChildProcess:
    """One child. Belongs to the event loop in which it was made, and to the thread, with whose end it dies."""

    def __init__(self, workplace: Workplace, max_frame_bytes: int) -> None:
        self._workplace = workplace
        self._socket, self._childs_socket = socket.socketpair()
        self._socket.setblocking(False)
        self._output, self._childs_output = os.pipe()
        os.set_blocking(self._output, False)
        self._forked: Forked | None = None
        self._frames = frames.FrameReader(max_frame_bytes)
        self._heard: deque[frames.Frame] = deque()
        self._answer: frames.Frame | None = None
        self._left: int | None = None  # bytes of output that come before the next frame, once that is known
        self._waiting: asyncio.Future[None] | None = None
        self._output_open = True
        self._is_closed = False

    async def start(self, server: ForkServer, message: dict[str, Any]) -> Forked:
        """Has the process forked. To be called once. Raises `ForkServerDied`."""
        try:
            self._forked = await server.fork(message, self._childs_socket.fileno(), self._childs_output)
        finally:
            self._close_childs_descriptors()
        return self._forked

    @property
    def answer(self) -> frames.Frame | None:
        """What the child said at the end of its output; None if it ended instead."""
        return self._answer

    async def send(self, kind: bytes, text: str) -> None:
        """Asks for something. A child that has ended takes it silently: `output` tells."""
        self._answer, self._left = None, None
        self._heard.clear()
        await self._write(kind, text)

    async def output(self) -> bytes | frames.Frame:
        """The next piece of output, or a figure; empty when all was returned and the child has answered or ended."""
        while True:
            while self._left is None and await self._readable():
                if self._hear():
                    self._left = _byte_count(self._output)
                elif data := self._read(CHUNK_BYTES):
                    return data
            if self._is_closed:
                return b""
            if self._left:
                data = self._read(min(self._left, CHUNK_BYTES))
                self._left -= len(data)
                return data
            if not self._heard:  # the child is gone
                return b""
            frame = self._heard.popleft()
            if frame[0] != frames.FIGURE:
                self._answer = frame
                return b""
            self._left = 0 if self._heard else None
            await self._write(frames.TAKEN)
            return frame

    def kill(self) -> None:
        """Kills every process of the group, at once. A process that is already on its way out keeps its exit status."""
        if self._forked is not None:
            self._forked.kill()

    async def ended(self) -> int:
        """Kills what is left of the group; the exit status of the child, negative for a signal."""
        self.kill()
        return await asyncio.wrap_future(self._forked.exited) if self._forked is not None else 0

    async def dispose(self) -> None:
        """Kills the group, waits for its leader and removes the folder. To be called once."""
        try:
            async with asyncio.timeout(DEATH_SECONDS):
                await self.ended()
        except TimeoutError:
            _log.error("process %d does not end after SIGKILL", self._forked.pid if self._forked else 0)
        self._is_closed = True
        self._wake()
        self._close_descriptors()
        await asyncio.get_running_loop().run_in_executor(_cleaners, self._clean_up)

    async def _write(self, kind: bytes, text: str = "") -> None:
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().sock_sendall(self._socket, frames.encode(kind, text))

    def _clean_up(self) -> None:
        if self._forked is not None:
            self._forked.bury()
        self._workplace.remove()

    def _hear(self) -> bool:
        """Reads the socket; whether there is a frame now, or the child has ended."""
        try:
            data = self._socket.recv(CHUNK_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        try:
            self._heard += self._frames.feed(data)
        except frames.FrameTooLong:
            data = b""
        if not data:
            self.kill()
        return not data or bool(self._heard)

    def _read(self, count: int) -> bytes:
        try:
            data = os.read(self._output, count)
        except BlockingIOError:
            return b""
        self._output_open = bool(data)
        return data

    async def _readable(self) -> bool:
        """Returns once there is something on the socket or in the pipe; False if the descriptors are closed instead."""
        if self._is_closed:
            return False
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        for descriptor in self._watched():
            loop.add_reader(descriptor, self._wake)
        try:
            await self._waiting
        finally:
            self._wake()
        return not self._is_closed

    def _watched(self) -> list[int]:
        return [self._socket.fileno(), self._output] if self._output_open else [self._socket.fileno()]

    def _wake(self) -> None:
        if self._waiting is None:
            return
        loop = asyncio.get_running_loop()
        for descriptor in (self._socket.fileno(), self._output):
            loop.remove_reader(descriptor)
        _finish(self._waiting)
        self._waiting = None

    def _close_descriptors(self) -> None:
        self._close_childs_descriptors()
        self._socket.close()
        os.close(self._output)

    def _close_childs_descriptors(self) -> None:
        self._childs_socket.close()
        if self._childs_output >= 0:
            os.close(self._childs_output)
            self._childs_output = -1


def _byte_count(descriptor: int) -> int:
    """How many bytes a pipe holds."""
    count = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return count[0]


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
