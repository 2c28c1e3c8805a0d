"""The fork server from the service's side: has a process (`zygote.py`) with the heavy imports done fork interpreters.

One server is shared by all event loops of a process. What the zygote says is read by a thread, because it outlives any
loop. A zygote that has died takes its interpreters with it; the next request starts another. One that dies before it is
ready, several times in a row, is not started again for a while.

The zygote dies with the thread that started it, as well as with the service.
"""

import asyncio
import contextlib
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from protos.rpc.endings import how_it_ended
from tool_service.tools.python.font_cache import default_font_cache

ZYGOTE = Path(__file__).with_name("zygote.py")
PRELOAD = ("numpy", "pandas", "matplotlib.pyplot")
MESSAGE_BYTES = 1 << 16
KILLED = -int(signal.SIGKILL)
DEATH_SECONDS = 5.0
LEAVE_SECONDS = 1.0  # for a zygote that has stopped talking to end
MAX_FAILED_STARTS = 3
PAUSE_SECONDS = 10.0  # after so many
FULL_SECONDS = 0.01  # before another attempt to write to a zygote that does not read

T = TypeVar("T")

_log = logging.getLogger(__name__)


class ForkServerDied(Exception):
    """There is no process to fork from, or it ended before it had; the text says why."""


class Forked:
    """A forked process: the leader of its own group."""

    def __init__(self, life: "_Life", pid: int) -> None:
        self.pid = pid
        self.exited = _unstoppable(Future[int]())
        self.life = life
        self._is_buried = False
        self._lock = threading.Lock()  # nobody buries what is just being killed
        try:
            self.descriptor = os.pidfd_open(pid)
        except OSError:  # a kernel before 5.3, or one that does not offer it
            self.descriptor = -1

    def kill(self) -> None:
        """Kills every process of the group, at once. The number is still its own: see zygote.py."""
        with self._lock, contextlib.suppress(ProcessLookupError):
            if not self._is_buried:
                self._kill_group()

    def bury(self) -> None:
        """Kills what is left and lets the process's number go. May block for a moment, and may be called again."""
        self.kill()
        with self._lock:
            if self._is_buried:
                return
            self._is_buried = True
            if self.descriptor >= 0:
                os.close(self.descriptor)
        self.life.bury(self.pid)

    def wait(self, seconds: float) -> None:
        """Waits for the process itself to end where the kernel can tell. For when the zygote no longer does."""
        with self._lock:
            descriptor = -1 if self._is_buried or self.descriptor < 0 else os.dup(self.descriptor)
        if descriptor >= 0:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            poll.poll(seconds * 1000)
            os.close(descriptor)

    def _kill_group(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:  # it does not lead its group yet
            if self.descriptor >= 0:
                signal.pidfd_send_signal(self.descriptor, signal.SIGKILL)
            elif self.life.is_alive:
                os.kill(self.pid, signal.SIGKILL)


class _Life:
    """One zygote, from its start to its death."""

    def __init__(self, program: Path, preload: Sequence[str]) -> None:
        self.is_alive = True
        self.ready = _unstoppable(Future[list[str]]())
        self._pending: dict[int, Future[Forked]] = {}
        self._forked: dict[int, Forked] = {}
        self._count = 0
        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.popen = _start(program, preload, theirs.fileno())
        threading.Thread(target=self._listen, name="python-fork-server", daemon=True).start()

    def request(self, message: dict[str, Any], descriptors: list[int]) -> Future[Forked]:
        """Asks for a fork. Raises BlockingIOError if that cannot be written now, OSError if the zygote is gone."""
        answer = _unstoppable(Future[Forked]())
        with self._lock:
            self._count += 1
            number = self._count
            if not self.is_alive:
                raise ConnectionResetError
            self._pending[number] = answer
        try:
            text = json.dumps({"fork": number, **message}).encode()
            socket.send_fds(self._socket, [text], descriptors, socket.MSG_DONTWAIT)
        except BaseException:
            self._pending.pop(number, None)
            raise
        return answer

    def bury(self, pid: int) -> None:
        """Lets a number go."""
        with self._lock:
            self._forked.pop(pid, None)
        with contextlib.suppress(OSError):
            self._socket.send(json.dumps({"bury": pid}).encode())

    def end(self) -> None:
        """Kills the zygote, and so all that it forked."""
        with contextlib.suppress(ProcessLookupError):
            self.popen.kill()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while text := self._socket.recv(MESSAGE_BYTES):
                self._take(json.loads(text))
        self._die()

    def _take(self, message: dict[str, Any]) -> None:
        if "forked" in message:
            forked = Forked(self, message["pid"])
            with self._lock:
                self._forked[forked.pid] = forked
                answer = self._pending.pop(message["forked"])
            answer.set_result(forked)
        elif "ended" in message:
            with self._lock:
                ended = self._forked.get(message["ended"])
            if ended is not None and not ended.exited.done():
                ended.exited.set_result(message["status"])
        elif "failed" in message:
            self._pending.pop(message["failed"]).set_exception(ForkServerDied(f"it cannot fork: {message['why']}"))
        else:
            self.ready.set_result(message["ready"])

    def _die(self) -> None:
        """Nothing is left behind by a zygote that is gone: its interpreters are killed with their groups."""
        with self._lock:
            self.is_alive = False
            forked, pending = list(self._forked.values()), list(self._pending.values())
        for process in forked:
            process.kill()
        status = self._buried()
        for process in forked:
            process.wait(DEATH_SECONDS)
            process.kill()  # what it may have started in the meantime
            if not process.exited.done():
                process.exited.set_result(KILLED)
        error = ForkServerDied(f"the fork server {how_it_ended(status)}")
        for answer in pending:
            answer.set_exception(error)
        if not self.ready.done():
            self.ready.set_exception(error)
        self._socket.close()

    def _buried(self) -> int:
        """The zygote's exit status; one that only does not talk any more is killed."""
        try:
            return self.popen.wait(LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            return self.popen.wait()


class ForkServer:
    """Forks interpreters. `program` is the zygote's file."""

    def __init__(self, preload: Sequence[str] = PRELOAD, program: Path = ZYGOTE) -> None:
        self._preload = preload
        self._program = program
        self._life: _Life | None = None
        self._failed_starts = 0
        self._last_start = 0.0
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        """Of the zygote, started if there is none. Raises `ForkServerDied`."""
        return self._alive().popen.pid

    async def ready(self) -> None:
        """Waits until all is imported. Raises `ForkServerDied`."""
        await asyncio.wrap_future(self._alive().ready)

    async def fork(self, message: dict[str, Any], control: int, output: int) -> Forked:
        """A process that does what the message says (see zygote.py). Raises `ForkServerDied`.

        Whoever is cancelled here leaves a process that is killed as soon as it is there.
        """
        life = self._alive()
        answer = await self._requested(life, message, [control, output])
        try:
            return await asyncio.wrap_future(answer)
        except asyncio.CancelledError:
            answer.add_done_callback(_bury_result)
            raise

    def is_alive(self, forked: Forked) -> bool:
        """Whether the zygote that forked this one still lives."""
        return forked.life.is_alive

    def restart(self) -> None:
        """Ends the zygote, with all that it forked. The next request starts another."""
        if self._life is not None:
            self._life.end()

    def close(self) -> None:
        """Ends the zygote and waits for its death: a moment, as the signal is SIGKILL."""
        if self._life is not None:
            self._life.end()
            self._life.popen.wait()

    async def _requested(self, life: _Life, message: dict[str, Any], descriptors: list[int]) -> Future[Forked]:
        while True:
            try:
                return life.request(message, descriptors)
            except BlockingIOError:
                await asyncio.sleep(FULL_SECONDS)
            except OSError:
                raise ForkServerDied("the fork server has ended") from None

    def _alive(self) -> _Life:
        with self._lock:
            if self._life is None or not self._life.is_alive:
                self._check_failures()
                self._last_start = time.monotonic()
                self._life = _Life(self._program, self._preload)
                self._life.ready.add_done_callback(self._note_start)
            return self._life

    def _check_failures(self) -> None:
        if self._failed_starts >= MAX_FAILED_STARTS and time.monotonic() - self._last_start < PAUSE_SECONDS:
            raise ForkServerDied("the fork server cannot be started; see the log")

    def _note_start(self, ready: Future[list[str]]) -> None:
        error = ready.exception()
        self._failed_starts = 0 if error is None else self._failed_starts + 1
        if error is not None:
            _log.error("no Python interpreters: %s before it was ready", error)
        for problem in ready.result() if error is None else ():
            _log.warning("python.preload: %s", problem)


def _start(program: Path, preload: Sequence[str], descriptor: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-u", "-X", "utf8", str(program), str(descriptor), str(os.getpid())]
    return subprocess.Popen(
        [*command, ",".join(preload)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=(descriptor,),
        cwd="/",
        env=_environment(),
        start_new_session=True,
    )


def _environment() -> dict[str, str]:
    """One thread per library: a process with threads cannot be forked safely."""
    fonts = default_font_cache()
    with contextlib.suppress(OSError):
        fonts.mkdir(parents=True, exist_ok=True)
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": str(fonts),
        **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    }


def _unstoppable(future: Future[T]) -> Future[T]:
    """Whoever is cancelled while waiting for it does not cancel it for others."""
    future.set_running_or_notify_cancel()
    return future


def _bury_result(answer: Future[Forked]) -> None:
    if answer.exception() is None:
        threading.Thread(target=answer.result().bury, daemon=True).start()
