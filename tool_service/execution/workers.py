"""Runs plain functions of tools in processes of their own: one that blocks is killed at its limit, and one that crashes
takes nothing else with it.

A pool heals itself: a worker that was killed or has died is replaced when the next call needs one. Workers start when
they are first needed and are kept for the calls to come. What is said between the two is one line of JSON each way:

    [n, {"source": …}]                                                  ─▶   {"loaded" | "raised": text}
    [n, {"source": …, "tool": …, "arguments_json": …, "max_chars": m}]  ─▶   {"result" | "failed": text}
                                                                        or   {"rejected" | "raised": text}
                                                                        or   {"artifact": [name, media type, base64]}

An answer also has the task's number, `{"number": n, …}`. A worker that says anything else than one answer to each task
is killed: what a function has written to the socket never becomes another call's result.

See `tool_service.worker` for the other side.
"""

import asyncio
import base64
import contextlib
import inspect
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar

import structlog

from protos.rpc.endings import how_it_ended
from tool_service.execution.descendants import kill_with_descendants
from tool_service.execution.json_lines import JsonLines
from tool_service.execution.printed import Printed
from tool_service.execution.to_the_end import to_the_end
from tool_service.interface.artifact import Artifact
from tool_service.interface.reject import Reject, ToolError
from tool_service.interface.tool import Tool

DEFAULT_COUNT = 4
DEFAULT_MEMORY_BYTES = 4 << 30
START_SECONDS = 60.0  # for a process to start, and for a source to load: some import half the world
DEATH_SECONDS = 5.0
DYING_SECONDS = 0.1  # between the end of a process's socket and its exit

# Modules are found where the service finds them; the environment, which a function may hand on, stays as it is.
_PROGRAM = """
import os, sys
sys.path[:] = sys.argv.pop(1).split(os.pathsep)
from tool_service.worker import main
main()
"""

T = TypeVar("T")

log = structlog.get_logger()


class ToolRaised(Exception):
    """The function raised; the message is the exception's type and text."""


class WorkerDied(Exception):
    """The process ended in the middle of a call; the message says how."""


class NoPlaceError(Exception):
    """Every place stayed taken."""


class Queue(Protocol):
    """How a call waits for a place."""

    async def __call__(self, place: Awaitable[T], /) -> T:
        """Waits, on the clock that the call has for waiting."""
        ...


@dataclass(frozen=True, slots=True)
class Task:
    """A call of the plain function of the tool `tool` of `source`, a Python file or module."""

    source: str
    tool: str
    arguments_json: str
    max_chars: int


def runs_in_worker(tool: Tool) -> bool:
    """Whether it is a plain function that a worker can load."""
    function = tool.function
    return bool(tool.source) and not (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function))


class WorkerPool:
    """At most `count` workers. `memory_bytes` is the address space of each."""

    def __init__(self, count: int = DEFAULT_COUNT, memory_bytes: int = DEFAULT_MEMORY_BYTES) -> None:
        self._memory_bytes = memory_bytes
        self._places = asyncio.Semaphore(count)
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._closed = False

    @contextlib.asynccontextmanager
    async def place(self, queue: Queue, seconds: float) -> AsyncIterator["Worker"]:
        """A worker for one call; killed where the block is left by WorkerDied or a cancel.

        Raises NoPlaceError where none is free within `seconds`, or WorkerDied.
        """
        try:
            async with asyncio.timeout(seconds):
                await queue(self._places.acquire())
        except TimeoutError:
            raise NoPlaceError from None
        try:
            worker = await queue(self._living())
            self._busy.add(worker)
            try:
                yield worker
            except (Reject, ToolError, ToolRaised):
                await to_the_end(self._keep(worker))
                raise
            except BaseException:
                await to_the_end(worker.kill())
                raise
            else:
                await to_the_end(self._keep(worker))
            finally:
                self._busy.discard(worker)
        finally:
            self._places.release()

    async def warm_up(self, source: str) -> None:
        """Has one worker ready that has loaded `source`. Whatever goes wrong is told when it is called."""
        with contextlib.suppress(ToolRaised, WorkerDied, NoPlaceError):
            async with self.place(_at_once, START_SECONDS) as worker:
                await worker.load(source)

    async def aclose(self) -> None:
        """Kills every worker; what still runs fails."""
        self._closed = True
        workers = (*self._idle, *self._busy)
        self._idle.clear()
        await asyncio.gather(*(worker.kill() for worker in workers))

    async def _living(self) -> "Worker":
        while self._idle:
            worker = self._idle.pop()  # the one that worked last, whose memory is the warmest
            try:
                if await worker.is_ready():
                    return worker
            except BaseException:
                self._idle.append(worker)
                raise
            await to_the_end(worker.kill())  # what it had started may live
        worker = await Worker.start(self._memory_bytes)
        if self._closed:
            await to_the_end(worker.kill())
            raise WorkerDied("the tools are being shut down")
        return worker

    async def _keep(self, worker: "Worker") -> None:
        worker.rest()
        if self._closed or not await worker.is_ready():
            await to_the_end(worker.kill())
        else:
            self._idle.append(worker)


class Worker:
    """One process, the leader of its group. Whoever starts it kills it."""

    def __init__(self, process: asyncio.subprocess.Process, leash: int, printed: Printed) -> None:
        self._process = process
        self._leash = leash
        self._printed = printed
        self._lines: JsonLines | None = None
        self._loaded: set[str] = set()
        self._number = 0  # of the task that it has
        self._killed = False

    @classmethod
    async def start(cls, memory_bytes: int) -> "Worker":
        """Starts one, and waits until it can take a task. Raises WorkerDied."""
        ours, theirs = socket.socketpair()
        held, leash = os.pipe()  # its end is the end of the worker and its group, which the kernel sees to
        printed, said = os.pipe()
        try:
            process = await _start(theirs.fileno(), held, said, memory_bytes)
        except BaseException:
            ours.close()
            os.close(leash)
            os.close(printed)
            raise
        finally:
            theirs.close()
            os.close(held)
            os.close(said)
        worker = cls(process, leash, Printed(printed))
        try:
            await worker._open(ours)
        except BaseException:
            ours.close()
            await to_the_end(worker.kill())
            raise
        return worker

    async def is_ready(self) -> bool:
        """Whether it can take a task: it lives, as far as is known, and has said nothing that nobody asked for."""
        return self._process.returncode is None and self._lines is not None and await self._lines.is_silent()

    async def load(self, source: str) -> None:
        """Has it load a source, unless it has. Raises ToolRaised or WorkerDied."""
        if source in self._loaded:
            return
        self._printed.begin(source)
        try:
            async with asyncio.timeout(START_SECONDS):
                _outcome(await self._ask({"source": source}, source))
        except TimeoutError:
            raise WorkerDied(f"{source} was not loaded within {START_SECONDS:g} s") from None
        self._loaded.add(source)

    async def run(self, task: Task) -> str | Artifact:
        """The function's result. Raises Reject, ToolError, ToolRaised or WorkerDied."""
        self._printed.begin(task.tool)
        return _outcome(await self._ask(asdict(task), task.tool))

    def rest(self) -> None:
        """Its call is over."""
        self._printed.end()

    async def kill(self) -> int | None:
        """Kills it with all that it has started; its exit status, or None for one that does not end.

        Of one that has ended by itself, what has left its group is nobody's any more and lives on.
        """
        if not self._killed:
            self._killed = True  # once: after its end the kernel may give its number to another
            kill_with_descendants(self._process.pid)
            os.close(self._leash)
            self._printed.close()
            if self._lines is not None:
                self._lines.close()
        try:
            return await asyncio.wait_for(self._process.wait(), DEATH_SECONDS)
        except TimeoutError:
            log.error("worker does not end after SIGKILL", pid=self._process.pid)
            return None

    async def _open(self, ours: socket.socket) -> None:
        self._lines = await JsonLines.over(ours)
        self._printed.begin("worker")
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._answer("the worker")
        except TimeoutError:
            raise WorkerDied(f"the worker did not start within {START_SECONDS:g} s") from None

    async def _ask(self, question: dict[str, Any], who: str) -> dict[str, Any]:
        if self._lines is None:
            raise WorkerDied(f"{who}'s process was not started")
        self._number += 1
        await self._lines.send([self._number, question])
        return await self._answer(who)

    async def _answer(self, who: str) -> dict[str, Any]:
        if self._lines is None:
            raise WorkerDied(f"{who}'s process was not started")
        try:
            answer: dict[str, Any] = await self._lines.receive()
            if not isinstance(answer, dict) or answer.get("number") != self._number:
                raise ValueError("not the answer to what was asked")
        except ValueError:
            raise WorkerDied(f"{who}'s process gave an answer that makes no sense") from None
        except EOFError:
            status = await to_the_end(self._end())
            how = "does not answer" if status is None else how_it_ended(status)
            raise WorkerDied(f"{who}'s process {how}") from None
        return answer

    async def _end(self) -> int | None:
        """Its exit status, where it has closed its socket; killed where it does not end by itself."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), DYING_SECONDS)
        return await self.kill()


async def _start(channel: int, leash: int, printed: int, memory_bytes: int) -> asyncio.subprocess.Process:
    """The process, with its ends of the three connections. Raises WorkerDied."""
    try:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _PROGRAM, os.pathsep.join(map(os.path.abspath, sys.path))),
            *map(str, (channel, leash, memory_bytes)),
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
            pass_fds=(channel, leash),
            start_new_session=True,
        )
    except OSError as error:
        raise WorkerDied(f"no process can be started: {error}") from error


async def _at_once(place: Awaitable[T]) -> T:
    return await place


def _outcome(answer: dict[str, Any]) -> str | Artifact:
    if "rejected" in answer:
        raise Reject(answer["rejected"])
    if "failed" in answer:
        raise ToolError(answer["failed"])
    if "raised" in answer:
        raise ToolRaised(answer["raised"])
    if "artifact" in answer:
        name, media_type, data = answer["artifact"]
        return Artifact(name, media_type, base64.b64decode(data))
    result: str = answer.get("result", "")
    return result
