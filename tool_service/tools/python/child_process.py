"""The process behind an interpreter: started, talked with, killed with its whole group; the event loop never blocks.

The child has two ways out. What it and its own children print comes through a pipe, in the order in which it was
printed. The frames of `frames.py` go over a socket. When an answer is on the socket, everything that was printed
before it is already in the pipe, so what the pipe holds at that moment (FIONREAD) is the rest of that statement's
output, neither more nor less.

The socket is at its end when the child is. The child is a group leader that nobody has waited for until `ended`, so its
number cannot belong to anyone else while the group may still be killed.
"""

import array
import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
import subprocess
import sys
import termios
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tool_service.tools.python import frames
from tool_service.tools.python.workplace import Workplace

CHILD = str(Path(__file__).with_name("child.py"))
CHUNK_BYTES = 1 << 16
DEATH_SECONDS = 5.0  # from SIGKILL to the process's end, before its folder is removed regardless

_log = logging.getLogger(__name__)
_cleaners = ThreadPoolExecutor(max_workers=2, thread_name_prefix="python-tool-cleaner")


class ChildProcess:
    """One child. Belongs to the event loop in which it was made, and to the thread, with whose end it dies."""

    def __init__(self, arguments: list[str], workplace: Workplace, max_frame_bytes: int) -> None:
        self._workplace = workplace
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        self._output, output = os.pipe()
        os.set_blocking(self._output, False)
        try:
            self._popen = _start(arguments, workplace, theirs.fileno(), output)
        except BaseException:
            self._close_descriptors()
            raise
        finally:
            theirs.close()
            os.close(output)
        self._frames = frames.FrameReader(max_frame_bytes)
        self._answer: tuple[bytes, str] | None = None
        self._left: int | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._output_open = True
        self._is_closed = False

    @property
    def answer(self) -> tuple[bytes, str] | None:
        """What the child said at the end of its output; None if it ended instead."""
        return self._answer

    async def send(self, kind: bytes, text: str) -> None:
        """Asks for something. A child that has ended takes it silently: `output` tells."""
        self._answer, self._left = None, None
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().sock_sendall(self._socket, frames.encode(kind, text))

    async def output(self) -> bytes:
        """The next piece of output; empty when all of it was returned and the child has answered or ended."""
        while self._left is None and await self._readable():
            if self._hear():
                self._left = _byte_count(self._output)
            elif data := self._read(CHUNK_BYTES):
                return data
        if self._is_closed or not self._left:
            return b""
        data = self._read(min(self._left, CHUNK_BYTES))
        self._left -= len(data)
        return data

    def kill(self) -> None:
        """Kills every process of the group, at once. A process that is already on its way out keeps its exit status."""
        if self._popen.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._popen.pid, signal.SIGKILL)

    async def ended(self) -> int:
        """Kills what is left of the group; the exit status of the child, negative for a signal."""
        self.kill()
        if self._popen.returncode is None:
            await _exit_of(self._popen.pid)
        return self._popen.wait()

    async def dispose(self) -> None:
        """Kills the group, waits for its leader and removes the folder. To be called once."""
        try:
            async with asyncio.timeout(DEATH_SECONDS):
                await self.ended()
        except TimeoutError:
            _log.error("process %d does not end after SIGKILL", self._popen.pid)
        self._is_closed = True
        self._wake()
        self._close_descriptors()
        await asyncio.get_running_loop().run_in_executor(_cleaners, self._workplace.remove)

    def _hear(self) -> bool:
        """Reads the socket; whether the child has answered or ended."""
        try:
            data = self._socket.recv(CHUNK_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        try:
            self._answer = self._frames.feed(data)
        except frames.FrameTooLong:
            data = b""
        if not data:
            self.kill()
        return not data or self._answer is not None

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
        self._socket.close()
        os.close(self._output)


def _start(arguments: list[str], workplace: Workplace, control: int, output: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-u", "-X", "utf8", CHILD, str(control), str(os.getpid()), *arguments]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=(control,),
        cwd=workplace.work,
        env=workplace.environment(),
        start_new_session=True,
    )


def _byte_count(descriptor: int) -> int:
    """How many bytes a pipe holds."""
    count = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return count[0]


async def _exit_of(pid: int) -> None:
    """Returns when a child process has ended, and leaves its status for `wait`."""
    loop = asyncio.get_running_loop()
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except OSError:  # a kernel before 5.3, or one that does not offer it
        await loop.run_in_executor(_cleaners, os.waitid, os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        return
    ended: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, _finish, ended)
    try:
        await ended
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
