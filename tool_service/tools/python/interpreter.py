"""A Python interpreter that keeps its variables from statement to statement and streams what they print.

    async with aclosing(await Interpreter.open()) as interpreter:
        async for text in interpreter.run("print(6 * 7)"):
            ...

Every interpreter is a process of its own, with its own empty folder, a bare environment, resource limits and no
network.
**This is a guard against accidents, not a boundary against an attacker**: `confinement.py` says what is held off.

Errors:

    InterpreterError
    ├── StatementFailed       the statement raised; the interpreter and its variables are well
    ├── InterpreterDied       the process is gone, and the variables with it; open another
    └── SandboxUnavailable    this machine cannot confine an interpreter; none can be opened
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tool_service.tools.python import frames
from tool_service.tools.python.child_process import ChildProcess
from tool_service.tools.python.font_cache import default_font_cache, warm_up
from tool_service.tools.python.output import OutputText
from tool_service.tools.python.workplace import Workplace

__all__ = [
    "Interpreter",
    "InterpreterDied",
    "InterpreterError",
    "InterpreterLimits",
    "SandboxUnavailable",
    "StatementFailed",
    "warm_up",
]

CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE)
UTF8_BYTES = 4
CUT_NOTICE_BYTES = 1024


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

    Memory (address space) and CPU time hold for each of its processes over its whole life, the file size for each file,
    and characters for each statement. `spare_process_count` is how many more processes and threads this user may have
    than the machine runs when the interpreter opens; the kernel does not hold root to it.
    """

    memory_bytes: int = 2 << 30
    cpu_seconds: int = 60
    file_bytes: int = 64 << 20
    open_file_count: int = 256
    spare_process_count: int = 1024
    output_chars: int = 64 << 10
    traceback_chars: int = 16 << 10
    value_chars: int = 16 << 10
    open_seconds: float = 30.0


DEFAULT_LIMITS = InterpreterLimits()


class Interpreter:
    """One process that runs one statement at a time. Made with `open`, and closed by whoever opened it."""

    def __init__(self, child: ChildProcess, limits: InterpreterLimits) -> None:
        self._child = child
        self._limits = limits
        self._statement_kind = frames.STATEMENT
        self._gone = ""  # how the process was lost; empty while it serves
        self._is_busy = False
        self._disposal: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, limits: InterpreterLimits = DEFAULT_LIMITS, font_cache: Path | None = None) -> Self:
        """Starts an interpreter and waits until it is confined. Raises `SandboxUnavailable` or `InterpreterDied`."""
        self = cls(_start(limits, font_cache or default_font_cache()), limits)
        try:
            async with asyncio.timeout(limits.open_seconds):
                await self._greeted()
        except TimeoutError:
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

    def start_program(self) -> None:
        """The next statement begins another program: its lines count from 1 again. Variables stay."""
        self._statement_kind = frames.NEW_PROGRAM

    async def run(self, statement: str) -> AsyncGenerator[str, None]:
        """Runs source text and yields what it prints, as it prints it.

        Line numbers go on from the statement before. Raises `StatementFailed` or `InterpreterDied`, both after all
        output. Whoever leaves in the middle, by cancellation or by closing the iterator, kills the interpreter.
        """
        with self._conversation():
            kind, self._statement_kind = self._statement_kind, frames.STATEMENT
            await self._child.send(kind, statement)
            text = OutputText(self._limits.output_chars)
            while data := await self._child.output():
                if piece := text.feed(data):
                    yield piece
            if piece := text.close():
                yield piece
            await self._result()

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

    async def aclose(self) -> None:
        """Kills the process group and removes the folder; may be called again, and goes on when it is cancelled."""
        self._gone = self._gone or "The interpreter is closed."
        self._child.kill()
        if self._disposal is None:
            self._disposal = asyncio.create_task(self._child.dispose())
        await asyncio.shield(self._disposal)

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
            how = _how_it_ended(await self._child.ended(), self._limits)
            self._gone = self._gone or f"{how} Its variables are lost."
            raise InterpreterDied(self._gone)
        kind, text = self._child.answer
        if kind == frames.FAILED:
            raise StatementFailed(text)
        return text

    async def _greeted(self) -> None:
        """Waits for the child's first word."""
        printed = OutputText(self._limits.traceback_chars)
        text = ""
        while data := await self._child.output():
            text += printed.feed(data)
        kind, reason = self._child.answer or (b"", f"it ended with status {await self._child.ended()}. {text}".strip())
        if kind == frames.REFUSED:
            raise SandboxUnavailable(f"The interpreter cannot be confined on this machine: {reason}.")
        if kind != frames.READY:
            raise InterpreterDied(f"The interpreter did not start: {reason}")


def _start(limits: InterpreterLimits, font_cache: Path) -> ChildProcess:
    kept_chars = max(limits.traceback_chars, limits.value_chars)
    numbers = (
        limits.traceback_chars,
        limits.value_chars,
        limits.memory_bytes,
        limits.cpu_seconds,
        limits.file_bytes,
        limits.open_file_count,
        limits.spare_process_count,
    )
    workplace = Workplace(font_cache)
    try:
        return ChildProcess([str(number) for number in numbers], workplace, kept_chars * UTF8_BYTES + CUT_NOTICE_BYTES)
    except BaseException:
        workplace.remove()
        raise


def _how_it_ended(status: int, limits: InterpreterLimits) -> str:
    """A sentence from an exit status, with the limit that is likely behind it."""
    if status >= 0:
        return f"The interpreter exited with status {status}."
    name = _signal_name(-status)
    memory = f"{limits.memory_bytes / (1 << 30):g} GiB"
    if -status == signal.SIGXCPU:
        return f"The interpreter was stopped by {name}: it has used its {limits.cpu_seconds} seconds of CPU time."
    if -status == signal.SIGKILL:
        return f"The interpreter was killed by {name}; too much memory (limit {memory}) or CPU time is a likely cause."
    if -status in CRASHES:
        return f"The interpreter crashed with {name}; too much memory (limit {memory}) or recursion is a likely cause."
    return f"The interpreter was ended by {name}."


def _signal_name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
