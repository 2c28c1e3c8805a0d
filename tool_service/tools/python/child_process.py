"""The process behind an interpreter: forked, talked with, killed with its whole group; the event loop never blocks.

The child has two ways out. What it and its own children print comes through a pipe, in the order in which it was
printed. The frames of `frames.py` go over a socket. When an answer is on the socket, everything that was printed
before it is already in the pipe, so what the pipe holds at that moment (FIONREAD) is the rest of that statement's
output, neither more nor less. The same holds for a figure and what was printed before it.

What the child sends may be anything, and nothing of it may keep the service busy or waiting: figures must be PNG files
and no more than a program may have, a frame that has begun must end soon, and output must stop somewhere. `fault` says
which of these the child was killed for.

The socket is at its end when the child is, or when its exit is told, if something that it started holds the socket. The
child is a group leader that the fork server has not buried until
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
from tool_service.tools.python.leash import Leash
from tool_service.tools.python.workplace import Workplace

CHUNK_BYTES = 1 << 16
SMALL_BYTES = 4096  # after so little output the next is waited for so long, that many little pieces may become one
GATHERING_SECONDS = 0.005
FRAME_SECONDS = 5.0  # from the first byte of a frame to its last
DEATH_SECONDS = 5.0  # from SIGKILL to the process's end, before its folder is removed regardless

_log = logging.getLogger(__name__)
_cleaners = ThreadPoolExecutor(max_workers=64, thread_name_prefix="python-tool-cleaner")  # none waits for another's


class ChildProcess:
    """One child. Belongs to the event loop in which it was made, and to the thread, with whose end it dies.

    `fault`: what it was killed for here, in a sentence for the model; empty if for nothing.
    """

    def __init__(self, workplace: Workplace, max_frame_bytes: int, max_output_bytes: int) -> None:
        self.fault = ""
        self._max_output_bytes = max_output_bytes
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
        self._has_exited = False
        self._leash: Leash | None = None
        self._printed = self._figure_count = 0  # since the last request
        self._gathers_until = 0.0
        self._frame_timer: asyncio.TimerHandle | None = None

    async def start(self, server: ForkServer, message: dict[str, Any]) -> Forked:
        """Has the process forked. To be called once. Raises `ForkServerDied`."""
        try:
            self._forked = await server.fork(message, self._childs_socket.fileno(), self._childs_output)
        finally:
            self._close_childs_descriptors()
        self._leash = Leash(self._forked.pid)
        loop = asyncio.get_running_loop()
        self._forked.exited.add_done_callback(lambda _: self._tell_exit(loop))
        return self._forked

    @property
    def answer(self) -> frames.Frame | None:
        """What the child said at the end of its output; None if it ended instead."""
        return self._answer

    async def send(self, kind: bytes, text: str) -> None:
        """Asks for something. A child that has ended takes it silently: `output` tells."""
        self._answer, self._left = None, None
        self._printed = self._figure_count = 0
        self._heard.clear()
        await self._write(kind, text)

    async def output(self) -> bytes | frames.Frame:
        """The next piece of output, or a figure; empty when all was returned and the child has answered or ended."""
        while True:
            while self._left is None and await self._readable():
                if self._hear():
                    self._left = _byte_count(self._output)
                elif data := self._read(CHUNK_BYTES):
                    return self._counted(data)
            if self._is_closed:
                return b""
            if self._left:
                data = self._read(min(self._left, CHUNK_BYTES))
                self._left -= len(data)
                return self._counted(data)
            if not self._heard:  # the child is gone
                return b""
            frame = self._heard.popleft()
            if frame[0] != frames.FIGURE:
                self._answer = frame
                return b""
            self._left = 0 if self._heard else None
            await self._write(frames.TAKEN)
            await asyncio.sleep(0)  # there may be many
            return frame

    def _counted(self, data: bytes) -> bytes:
        self._printed += len(data)
        if self._printed > self._max_output_bytes:
            self._blame(f"it printed more than {self._max_output_bytes >> 20} MiB at once.")
        if len(data) < SMALL_BYTES:
            self._gathers_until = asyncio.get_running_loop().time() + GATHERING_SECONDS
        return data

    def _blame(self, fault: str) -> None:
        self.fault = self.fault or fault
        self.kill()

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
        self._time_frame(is_between=True)
        self._close_descriptors()
        await asyncio.get_running_loop().run_in_executor(_cleaners, self._clean_up)

    async def _write(self, kind: bytes, text: str = "") -> None:
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().sock_sendall(self._socket, frames.encode(kind, text))

    def _clean_up(self) -> None:
        if self._leash is not None:
            self._leash.release()
        if self._forked is not None:
            self._forked.bury()
        self._workplace.remove()

    def _hear(self) -> bool:
        """Reads the socket; whether there is a frame now, or the child has ended."""
        try:
            data = self._socket.recv(CHUNK_BYTES)
        except BlockingIOError:
            if not self._has_exited:
                return False
            data = b""
        except OSError:
            data = b""
        if not data or not self._take(data):
            self.kill()
            return True
        self._time_frame(self._frames.is_between)
        return bool(self._heard)

    def _take(self, data: bytes) -> bool:
        """Adds the frames that are complete now; False if they are none that an interpreter sends."""
        try:
            found = self._frames.feed(data)
        except frames.FrameTooLong:
            return self._is_amiss()
        for kind, payload in found:
            if kind == frames.FIGURE:
                self._figure_count += 1
                if self._figure_count > frames.MAX_FIGURES or not payload.startswith(frames.PNG_START):
                    return self._is_amiss()
            self._heard.append((kind, payload))
        return True

    def _is_amiss(self) -> bool:
        self._blame("its program wrote into the interpreter's own channel.")
        return False

    def _time_frame(self, is_between: bool) -> None:
        """A frame that has begun must end in time."""
        if is_between and self._frame_timer is not None:
            self._frame_timer.cancel()
            self._frame_timer = None
        elif not is_between and self._frame_timer is None:
            self._frame_timer = asyncio.get_running_loop().call_later(FRAME_SECONDS, self._is_amiss)

    def _tell_exit(self, loop: asyncio.AbstractEventLoop) -> None:
        """From the fork server's thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(self._note_exit)

    def _note_exit(self) -> None:
        self._has_exited = True
        self._wake()

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
        gathering = self._gathers_until - loop.time()
        timer = loop.call_later(gathering, self._wake) if gathering > 0 else None
        for descriptor in self._watched(is_gathering=timer is not None):
            loop.add_reader(descriptor, self._wake)
        if self._has_exited:
            self._wake()
        try:
            if self._waiting is not None:
                await self._waiting
        finally:
            self._wake()
            if timer is not None:
                timer.cancel()
        return not self._is_closed

    def _watched(self, is_gathering: bool) -> list[int]:
        has_output = self._output_open and not is_gathering
        return [self._socket.fileno(), self._output] if has_output else [self._socket.fileno()]

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
