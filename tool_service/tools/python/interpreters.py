"""Opens the interpreters of completions as the settings say, and says of a call what the model is to read."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

from tool_service.interface import Artifact, Reject, Session
from tool_service.tools.python.fork_server import ForkServer
from tool_service.tools.python.interpreter import (
    DEFAULT_LIMITS,
    Interpreter,
    InterpreterDied,
    InterpreterLimits,
    StatementFailed,
    warm_up,
)
from tool_service.tools.python.workplace import sweep

Piece = str | Artifact
MOST_OPEN = 16


@dataclass(frozen=True)
class Interpreters:
    """One interpreter for each completion, and only so many at a time: `places`."""

    server: ForkServer
    has_boundary: bool = True
    limits: InterpreterLimits = DEFAULT_LIMITS
    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_OPEN))

    async def open(self) -> Interpreter:
        """Raises `SandboxUnavailable` or `InterpreterDied`, which also says that there was no place for long."""
        try:
            async with asyncio.timeout(self.limits.open_seconds):
                await self.places.acquire()
        except TimeoutError:
            raise InterpreterDied("Too many Python interpreters are in use now. Try again later.") from None
        try:
            interpreter = await Interpreter.open(self.server, self.limits, has_boundary=self.has_boundary)
        except BaseException:
            self.places.release()
            raise
        interpreter.when_closed(self.places.release)
        return interpreter

    async def warm_up(self) -> None:
        """Has everything imported, so that the first interpreter comes as fast as the others. Never raises for it.

        Removes first what services that were killed have left.
        """
        await asyncio.to_thread(sweep)
        await warm_up(self.server)

    @asynccontextmanager
    async def program(self, session: Session) -> AsyncIterator["Program"]:
        """A new program in the completion's interpreter, which opens here.

        Raises `Reject` for what the model is to read. A program that failed leaves the interpreter well: the next
        call finds its variables.
        """
        failure = ""
        try:
            async with session.exclusive(self.open) as interpreter, aclosing(Program(interpreter)) as program:
                try:
                    yield program
                except StatementFailed as error:
                    failure = error.traceback
        except InterpreterDied as error:
            failure = str(error)
        if failure:
            raise Reject(failure)


class Program:
    """Statements that run one after the other, and what is to be seen at their end."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter
        self._running: AsyncGenerator[Piece, None] | None = None
        interpreter.start_program()

    def run(self, statements: str) -> AsyncIterator[Piece]:
        """What the statements print and show, as they do so. Whoever leaves early leaves the closing to `aclose`."""
        self._running = self._interpreter.run(statements)
        return self._running

    def end(self) -> AsyncIterator[Piece]:
        """The value of the last expression, and the figures that are still open."""
        self._running = self._end()
        return self._running

    async def aclose(self) -> None:
        """Ends what was left early, and the interpreter with it."""
        if self._running is not None:
            await self._running.aclose()

    async def _end(self) -> AsyncGenerator[Piece, None]:
        if value := await self._interpreter.last_value():
            yield f"{value}\n"
        async with aclosing(self._interpreter.open_figures()) as figures:
            async for figure in figures:
                yield figure
