"""Runs plain functions of tools in processes of their own: one that blocks is killed at its limit, and one that crashes
takes nothing else with it.

A pool heals itself: a worker that was killed or has died is replaced when the next call needs one. Workers start when
they are first needed and are kept for the calls to come. What is said between the two is one line of JSON each way:

    {"source": …, "tool": …, "arguments": {…}, "max_chars": n}   ─▶   {"result" | "rejected" | "raised": text}

See `tool_service.worker` for the other side.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass

import structlog

from tool_service.interface.reject import Reject

DEFAULT_COUNT = 4
DEFAULT_MEMORY_BYTES = 4 << 30
DEATH_SECONDS = 5.0
LINE_BYTES = 32 << 20  # more than the longest result, escaped

log = structlog.get_logger()


class ToolRaised(Exception):
    """The function raised; the message is the exception's type and text."""


class WorkerDied(Exception):
    """The process ended in the middle of a call; the message says how."""


@dataclass(frozen=True, slots=True)
class Task:
    """A call of the plain function of the tool `tool` of `source`, a Python file or module."""

    source: str
    tool: str
    arguments_json: str
    max_chars: int

    def line(self) -> bytes:
        """As the worker reads it."""
        data = {"source": self.source, "tool": self.tool, "max_chars": self.max_chars}
        return json.dumps({**data, "arguments": json.loads(self.arguments_json)}).encode() + b"\n"


class WorkerPool:
    """At most `count` workers. `memory_bytes` is the address space of each."""

    def __init__(self, count: int = DEFAULT_COUNT, memory_bytes: int = DEFAULT_MEMORY_BYTES) -> None:
        self._memory_bytes = memory_bytes
        self._places = asyncio.Semaphore(count)
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()

    async def place(self) -> None:
        """Waits until `run` may be called; each call of it takes one."""
        await self._places.acquire()

    async def run(self, task: Task) -> str:
        """Runs a task and gives its result, at the place that `place` gave. A cancel kills the worker.

        Raises Reject, ToolRaised or WorkerDied.
        """
        try:
            worker = self._living() or await _Worker.start(self._memory_bytes)
            self._busy.add(worker)
            try:
                answer = await worker.run(task)
            except BaseException:
                await asyncio.shield(asyncio.create_task(worker.kill()))
                raise
            finally:
                self._busy.discard(worker)
            self._idle.append(worker)
        finally:
            self._places.release()
        return _outcome(answer)

    async def aclose(self) -> None:
        """Kills every worker."""
        workers = (*self._idle, *self._busy)
        self._idle.clear()
        await asyncio.gather(*(worker.kill() for worker in workers))

    def _living(self) -> "_Worker | None":
        while self._idle:
            worker = self._idle.pop()
            if worker.is_alive:
                return worker
            worker.close()
        return None


class _Worker:
    """One process, the leader of its group."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer

    @classmethod
    async def start(cls, memory_bytes: int) -> "_Worker":
        """Starts one. It dies with the service: its socket is at its end then, and the kernel sees to it too."""
        ours, theirs = socket.socketpair()
        with theirs:
            command = (sys.executable, "-m", "tool_service.worker", theirs.fileno(), os.getpid(), memory_bytes)
            try:
                process = await asyncio.create_subprocess_exec(
                    *map(str, command),
                    stdin=subprocess.DEVNULL,
                    stdout=sys.stderr.fileno(),  # what a tool prints is for the log
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
                reader, writer = await asyncio.open_connection(sock=ours, limit=LINE_BYTES)
            except BaseException:
                ours.close()
                raise
        return cls(process, reader, writer)

    @property
    def is_alive(self) -> bool:
        """Whether it can take a task, as far as is known."""
        return self._process.returncode is None and not self._reader.at_eof()

    async def run(self, task: Task) -> dict[str, str]:
        """The worker's answer. Raises WorkerDied."""
        try:
            self._writer.write(task.line())
            await self._writer.drain()
            line = await self._reader.readuntil(b"\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            raise WorkerDied(f"{task.tool}'s process {_how(await self.kill())}") from None
        answer: dict[str, str] = json.loads(line)
        return answer

    async def kill(self) -> int | None:
        """Kills its whole group; its exit status, or None for one that does not end."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self.close()
        try:
            return await asyncio.wait_for(self._process.wait(), DEATH_SECONDS)
        except TimeoutError:
            log.error("worker does not end after SIGKILL", pid=self._process.pid)
            return None

    def close(self) -> None:
        """Frees the socket."""
        self._writer.close()


def _outcome(answer: dict[str, str]) -> str:
    if "rejected" in answer:
        raise Reject(answer["rejected"])
    if "raised" in answer:
        raise ToolRaised(answer["raised"])
    return answer["result"]


def _how(status: int | None) -> str:
    """How a process ended, for the model."""
    if status is None:
        return "does not answer"
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
