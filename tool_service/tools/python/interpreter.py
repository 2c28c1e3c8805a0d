"""A Python interpreter that keeps its variables from statement to statement and streams what they print.

    async with aclosing(await Interpreter.open(server)) as interpreter:
        async for piece in interpreter.run("print(6 * 7)"):  # text, or a figure as an `Artifact`
            ...

Every interpreter is a process of its own, with its own empty folder, a bare environment, limits, no network, and no
files but its own and Python's; `confinement.py` says how it is held in, `watch.py` what it is killed for.

Errors:

    InterpreterError
    ├── StatementFailed       the statement raised; the interpreter and its variables are well
    ├── InterpreterDied       the process is gone, and the variables with it; open another
    └── SandboxUnavailable    this machine cannot confine an interpreter; none can be opened
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from protos.rpc.endings import how_it_ended, signal_name
from tool_service.interface import Artifact
from tool_service.tools.python import frames, landlock, seccomp
from tool_service.tools.python.child_process import ChildProcess
from tool_service.tools.python.font_cache import default_font_cache
from tool_service.tools.python.font_cache import warm_up as font_cache_made
from tool_service.tools.python.fork_server import ForkServer, ForkServerDied
from tool_service.tools.python.output import OutputText
from tool_service.tools.python.watch import GroupLimits, Watched, the_watch
from tool_service.tools.python.workplace import Workplace

__all__ = [
    "Interpreter",
    "InterpreterDied",
    "InterpreterError",
    "InterpreterLimits",
    "SandboxUnavailable",
    "StatementFailed",
    "require_boundary",
    "warm_up",
]

CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE)
UTF8_BYTES = 4
CUT_NOTICE_BYTES = 1024
OPEN_ATTEMPTS = 3  # if the fork server dies meanwhile


class InterpreterError(Exception):
    """What can go wrong with an interpreter."""


class StatementFailed(InterpreterError):
    """The statement raised."""

    def __init__(self, traceback: str) -> None:
        super().__init__(traceback)
        self.traceback = traceback


class InterpreterDied(InterpreterError):
    """The process is gone; the text says how, in a sentence for the model."""


class SandboxUnavailable(InterpreterError):
    """The interpreter cannot be confined here; the text says why."""


@dataclass(frozen=True, slots=True)
class InterpreterLimits:
    """What one interpreter may use.

    Address space and CPU time hold for each of its processes over its whole life, the file size for each file, and
    characters for each statement: output past them is dropped, and past `output_bytes` it is the interpreter's end.
    What begins with `group_` or `folder_` holds for all of its processes together, and for its folder.
    `spare_process_count` is how many processes and threads its user may have: exactly, where each interpreter has a
    user of its own; elsewhere on top of all that the machine runs when it opens.
    """

    memory_bytes: int = 2 << 30
    cpu_seconds: int = 60
    file_bytes: int = 64 << 20
    open_file_count: int = 128
    spare_process_count: int = 64
    group_memory_bytes: int = 2 << 30
    group_task_count: int = 64
    group_cpu_seconds: int = 120
    folder_bytes: int = 128 << 20
    folder_files: int = 5_000
    output_chars: int = 64 << 10
    output_bytes: int = 256 << 20
    traceback_chars: int = 16 << 10
    value_chars: int = 16 << 10
    open_seconds: float = 30.0


DEFAULT_LIMITS = InterpreterLimits()


class Interpreter:
    """One process that runs one statement at a time. Made with `open`, and closed by whoever opened it."""

    def __init__(self, child: ChildProcess, workplace: Workplace, limits: InterpreterLimits) -> None:
        self._child = child
        self._workplace = workplace
        self._limits = limits
        self._statement_kind = frames.STATEMENT
        self._figure_count = 0
        self._gone = ""  # how the process was lost; empty while it serves
        self._is_busy = False
        self._disposal: asyncio.Task[None] | None = None
        self._when_closed: list[Callable[[], None]] = []
        self._watched: Watched | None = None

    @classmethod
    async def open(
        cls,
        server: ForkServer,
        limits: InterpreterLimits = DEFAULT_LIMITS,
        *,
        font_cache: Path | None = None,
        has_boundary: bool = True,
    ) -> Self:
        """Has an interpreter forked and waits until it is confined. Raises `SandboxUnavailable` or `InterpreterDied`.

        Without `has_boundary` it is confined as far as can be, whatever the machine offers.
        """
        if has_boundary:
            require_boundary()
        for attempt in range(1, OPEN_ATTEMPTS + 1):
            try:
                return await cls._open_once(limits, font_cache or default_font_cache(), server, has_boundary)
            except ForkServerDied as error:
                if attempt == OPEN_ATTEMPTS:
                    raise InterpreterDied(f"The interpreter did not start: {error}.") from error
        raise AssertionError

    @classmethod
    async def _open_once(
        cls, limits: InterpreterLimits, font_cache: Path, server: ForkServer, has_boundary: bool
    ) -> Self:
        self = cls(*_placed(limits, font_cache, has_boundary), limits)
        try:
            async with asyncio.timeout(limits.open_seconds):
                await self._started(server, has_boundary)
        except TimeoutError:
            if self._watched is None:  # the fork server does not answer
                server.restart()
            await self.aclose()
            raise InterpreterDied(f"The interpreter did not start within {limits.open_seconds:g} seconds.") from None
        except BaseException:
            await self.aclose()
            raise
        return self

    @property
    def is_alive(self) -> bool:
        """Whether the next statement can be run, as far as is known."""
        return not self._gone

    def when_closed(self, call: Callable[[], None]) -> None:
        """Has something called once nothing is left of it. To be called before `aclose`."""
        self._when_closed.append(call)

    def start_program(self) -> None:
        """The next statement begins another program: its lines count from 1 again. Variables stay."""
        self._statement_kind = frames.NEW_PROGRAM

    async def run(self, statement: str) -> AsyncGenerator[str | Artifact, None]:
        """Runs source text and yields what it prints, as it prints it, and the figures that it shows.

        Line numbers go on from the statement before. Raises `StatementFailed` or `InterpreterDied`, both after all
        output. Whoever leaves in the middle, by cancellation or by closing the iterator, kills the interpreter.
        """
        with self._conversation():
            kind, self._statement_kind = self._statement_kind, frames.STATEMENT
            async with contextlib.aclosing(self._asked(kind, statement)) as pieces:
                async for piece in pieces:
                    yield piece

    async def last_value(self) -> str:
        """The repr of the last statement's value if it was an expression, as after a notebook's cell; empty for None.

        Empty too for a program of which nothing has run yet.
        The repr is the statement's own code: it may raise or die as `run` does. What it prints is dropped.
        """
        with self._conversation():
            if self._statement_kind == frames.NEW_PROGRAM:
                return ""
            await self._child.send(frames.SHOW_VALUE, "")
            while await self._child.output():
                pass
            return await self._result()

    async def open_figures(self) -> AsyncGenerator[str | Artifact, None]:
        """The figures that the program has left open, which this closes, and what is printed of it.

        Drawing may raise or die as `run` does.
        """
        with self._conversation():
            async with contextlib.aclosing(self._asked(frames.SHOW_FIGURES, "")) as pieces:
                async for piece in pieces:
                    yield piece

    async def aclose(self) -> None:
        """Kills the process group and removes the folder; may be called again, and goes on when it is cancelled."""
        self._gone = self._gone or "The interpreter is closed."
        self._child.kill()
        if self._watched is not None:
            the_watch.remove(self._watched)
        if self._disposal is None:
            self._disposal = asyncio.create_task(self._child.dispose())
            for call in self._when_closed:
                self._disposal.add_done_callback(lambda _, call=call: call())  # type: ignore[misc]
        await asyncio.shield(self._disposal)

    async def _asked(self, kind: bytes, text: str) -> AsyncGenerator[str | Artifact, None]:
        """Sends a request and yields what comes before its answer. Raises what the answer says."""
        if kind == frames.NEW_PROGRAM:
            self._figure_count = 0
        await self._child.send(kind, text)
        output = OutputText(self._limits.output_chars)
        while data := await self._child.output():
            if piece := output.feed(data) if isinstance(data, bytes) else self._figure(data[1]):
                yield piece
        if piece := output.close():
            yield piece
        await self._result()

    def _figure(self, picture: bytes) -> Artifact | None:
        """What the child sends may be anything: only so many, and only PNG files."""
        if self._figure_count >= frames.MAX_FIGURES or not picture.startswith(frames.PNG_START):
            return None
        self._figure_count += 1
        return Artifact(f"figure-{self._figure_count}.png", "image/png", picture)

    @contextlib.contextmanager
    def _conversation(self) -> Iterator[None]:
        if self._gone:
            raise InterpreterDied(self._gone)
        if self._is_busy:
            raise RuntimeError("the interpreter runs one statement at a time")
        self._is_busy = True
        try:
            yield
        except InterpreterError:
            raise
        except BaseException:
            self._gone = "The interpreter was stopped while a statement was running; its variables are lost."
            self._child.kill()
            raise
        finally:
            self._is_busy = False

    async def _result(self) -> str:
        """What the child said at the end of a statement."""
        if self._child.answer is None:
            how = await self._how_it_ended()
            self._gone = self._gone or f"{how} Its variables are lost."
            raise InterpreterDied(self._gone)
        kind, payload = self._child.answer
        if kind == frames.FAILED:
            raise StatementFailed(_within(payload, self._limits.traceback_chars, "traceback"))
        return _within(payload, self._limits.value_chars, "value")

    async def _how_it_ended(self) -> str:
        status = await self._child.ended()
        if self._watched is not None and self._watched.breach:
            return f"The interpreter was killed: {self._watched.breach}"
        if self._child.fault:
            return f"The interpreter was killed: {self._child.fault}"
        return _how_it_ended(status, self._limits)

    async def _started(self, server: ForkServer, has_boundary: bool) -> None:
        """Forks and waits for the child's first word."""
        forked = await self._child.start(server, _message(self._workplace, self._limits, has_boundary))
        limits, user = _group_limits(self._limits), self._workplace.user
        self._watched = Watched(forked.pid, self._workplace.folder, limits, forked.kill, user)
        printed = OutputText(self._limits.traceback_chars)
        text = ""
        while data := await self._child.output():
            text += printed.feed(data) if isinstance(data, bytes) else ""
        if self._child.answer is None and not server.is_alive(forked):
            raise ForkServerDied("the fork server has ended")
        reason = f"it {how_it_ended(await self._child.ended())}. {text}" if self._child.answer is None else ""
        kind, payload = self._child.answer or (b"", reason.strip().encode())
        if kind == frames.REFUSED:
            raise SandboxUnavailable(_unavailable(frames.text_of(payload)))
        if kind != frames.READY:
            raise InterpreterDied(f"The interpreter did not start: {frames.text_of(payload)}")
        the_watch.add(self._watched)


async def warm_up(server: ForkServer, font_cache: Path | None = None) -> None:
    """Has the fork server import everything, and matplotlib's list of fonts made before where there is none.

    To be called once in the background when the service starts. Never raises for what does not work; the log says it.
    """
    await font_cache_made(font_cache)
    with contextlib.suppress(ForkServerDied):
        await server.ready()


def require_boundary() -> None:
    """Raises `SandboxUnavailable` where this machine cannot hold an interpreter in."""
    if missing := landlock.what_is_missing() or seccomp.what_is_missing():
        raise SandboxUnavailable(_unavailable(missing))


def _unavailable(why: str) -> str:
    return f"Python code cannot be held in on this machine: {why}."


def _placed(limits: InterpreterLimits, font_cache: Path, has_boundary: bool) -> tuple[ChildProcess, Workplace]:
    kept_chars = max(limits.traceback_chars, limits.value_chars)
    workplace = Workplace(font_cache, has_own_user=has_boundary)
    try:
        return ChildProcess(workplace, kept_chars * UTF8_BYTES + CUT_NOTICE_BYTES, limits.output_bytes), workplace
    except BaseException:
        workplace.remove()
        raise


def _message(workplace: Workplace, limits: InterpreterLimits, has_boundary: bool) -> dict[str, Any]:
    """What the zygote is told: the fields of its `Job` and `Confinement`."""
    confinement = {
        "folder": str(workplace.folder),
        "user": workplace.user,
        "has_boundary": has_boundary,
        "memory_bytes": limits.memory_bytes,
        "cpu_seconds": limits.cpu_seconds,
        "file_bytes": limits.file_bytes,
        "open_file_count": limits.open_file_count,
        "spare_process_count": limits.spare_process_count,
    }
    return {
        "confinement": confinement,
        "environment": workplace.environment(),
        "traceback_chars": limits.traceback_chars,
        "value_chars": limits.value_chars,
    }


def _within(payload: bytes, limit: int, what: str) -> str:
    """The child has cut its text already; but what it sends may be anything."""
    return frames.cut(frames.text_of(payload), limit + frames.NOTICE_CHARS, what)


def _group_limits(limits: InterpreterLimits) -> GroupLimits:
    return GroupLimits(
        limits.group_task_count,
        limits.group_memory_bytes,
        limits.folder_bytes,
        limits.folder_files,
        limits.group_cpu_seconds,
        limits.file_bytes,
    )


def _how_it_ended(status: int, limits: InterpreterLimits) -> str:
    """A sentence from an exit status, with the limit that is likely behind it."""
    if status >= 0:
        return f"The interpreter exited with status {status}."
    name = signal_name(-status)
    memory = f"{limits.memory_bytes / (1 << 30):g} GiB"
    if -status == signal.SIGXCPU:
        return f"The interpreter was stopped by {name}: it has used its {limits.cpu_seconds} seconds of CPU time."
    if -status == signal.SIGKILL:
        return f"The interpreter was killed by {name}; too much memory (limit {memory}) or CPU time is a likely cause."
    if -status in CRASHES:
        return f"The interpreter crashed with {name}; too much memory (limit {memory}) or recursion is a likely cause."
    return f"The interpreter was ended by {name}."
