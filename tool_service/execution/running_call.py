"""One call, from its name to its outcome.

    opened ─▶ launched ─▶ running ─▶ finished
       └──── refused, malformed ───────▲

The parser's verbs (`open_argument` … `seal`, `give_up`) fill it with input at any time; `launch` starts the tool, and
is the only thing that modes time differently. What goes wrong before the launch is told at the launch, so that a mode
that starts late also fails late.
"""

import asyncio
import contextlib
import inspect
import json
import time
from collections.abc import Callable
from typing import Any

import pydantic_core
import structlog

from tool_service.execution.arguments import Arguments
from tool_service.execution.events import (
    CallFinished,
    CallOutput,
    CallStarted,
    Event,
    Failure,
    TurnVetoed,
    UnitFinished,
)
from tool_service.execution.threads import start_thread
from tool_service.formats.events import JsonValue
from tool_service.interface.call import Call
from tool_service.interface.meter import Meter, Unit
from tool_service.interface.reject import Reject
from tool_service.interface.schema import InvalidArgumentError
from tool_service.interface.session import Session, SessionState
from tool_service.interface.tool import Tool

log = structlog.get_logger()

VETOING = ("REJECTED", "INVALID_ARGUMENTS")
VETO_CHARS = 500
CANCEL_SECONDS = 0.5  # how long a tool may take to stop


class RunningCall:
    """One call of `tool`. Everything it has to say goes to `emit`, `CallFinished` last and once."""

    def __init__(
        self,
        call_id: str,
        tool: Tool,
        offset: int,
        *,
        slots: asyncio.Semaphore,
        session: SessionState,
        max_result_chars: int,
        timeout: float,
        emit: Callable[[Event], None],
    ) -> None:
        self.id = call_id
        self.tool = tool
        self._offset = offset
        self._slots = slots
        self._timeout = timeout
        self._finished = asyncio.Event()
        self._output = _Output(call_id, max_result_chars, self._finished.is_set, emit)
        self._emit = emit
        self._meter = Meter(timeout, self._on_unit, self._on_timeout)
        self._session = Session(session, self._meter)
        self._call = Call(call_id, self._meter)
        self._arguments = Arguments(tool.signature, self._meter)
        self._arguments_json = ""
        self._refusal: Failure | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread: asyncio.Future[Any] | None = None
        self._launched = False
        self._queued = 0.0

    @property
    def refused(self) -> bool:
        """Whether it is known that it cannot succeed."""
        return self._refusal is not None

    @property
    def over(self) -> bool:
        """Whether its outcome has been told."""
        return self._finished.is_set()

    def open_argument(self, name: str) -> None:
        """A string argument began."""
        self._check(lambda: self._arguments.open(name))

    def push(self, name: str, text: str, offset: int) -> None:
        """More of an open string argument."""
        self._check(lambda: self._arguments.push(name, text, offset))

    def seal_argument(self, name: str, value: JsonValue, offset: int) -> None:
        """An argument is complete."""
        self._check(lambda: self._arguments.seal(name, value, offset))

    def seal(self, arguments: dict[str, JsonValue], offset: int) -> None:
        """The call is complete."""
        self._offset = offset if not self.tool.starts_early else self._offset
        self._check(lambda: self._arguments.complete(offset))
        if self._refusal is None:
            self._arguments_json = json.dumps(arguments, ensure_ascii=False)
            self._call.seal(offset)

    def give_up(self, failure: Failure) -> None:
        """The call will never be sealed: its tool is stopped and what it prepared undone."""
        self._refuse(failure)

    def launch(self) -> None:
        """Starts the tool, or tells why it cannot start."""
        if self._launched:
            return
        self._launched = True
        if self._refusal is not None:
            self._finish(self._refusal)
        else:
            self._task = asyncio.create_task(self._run(), name=f"tool {self.tool.name} {self.id}")
            self._task.add_done_callback(self._on_done)

    async def finished(self) -> None:
        """Waits for the outcome."""
        await self._finished.wait()

    async def cancel(self) -> None:
        """Stops the tool, for a completion that is over. One that does not let itself be stopped is left to itself."""
        if self._task is None:
            return
        self._task.cancel()
        _, stubborn = await asyncio.wait((self._task,), timeout=CANCEL_SECONDS)
        if stubborn:
            log.error("tool ignores its cancellation", tool=self.tool.name)

    def _check(self, step: Callable[[], None]) -> None:
        if self._refusal is None:
            try:
                step()
            except InvalidArgumentError as error:
                self._refuse(Failure("INVALID_ARGUMENTS", f"{error}."))

    def _refuse(self, failure: Failure) -> None:
        if self._refusal is not None:
            return
        self._refusal = failure
        if self._task is not None:
            self._task.cancel()
            asyncio.get_running_loop().call_later(CANCEL_SECONDS, self._finish, failure)

    def _on_unit(self, unit: Unit) -> None:
        if not self.over:  # a tool that was given up may work on for a moment
            self._emit(UnitFinished(self.id, unit))

    def _on_timeout(self) -> None:
        self._refuse(Failure("TIMEOUT", f"{self.tool.name} was stopped: it worked for more than {self._timeout:g} s."))

    def _on_done(self, task: asyncio.Task[None]) -> None:
        """A task that is cancelled before its first step never runs: its outcome is told here."""
        if task.cancelled() and self._refusal is not None:
            self._finish(self._refusal)

    async def _run(self) -> None:
        began = time.monotonic()
        outcome: str | Failure
        if not await self._take_slot():
            self._finish(Failure("TIMEOUT", f"{self.tool.name} had no free place for {self._timeout:g} s."))
            return
        try:
            self._queued = time.monotonic() - began
            self._emit(CallStarted(self.id))
            self._meter.begin("start", self._offset)
            outcome = await self._invoke()
            self._meter.end()
            await self._call.until_sealed()  # a result counts only for a call that turned out to be whole and valid
        except Reject as error:
            outcome = self._refusal = self._refusal or Failure("REJECTED", str(error) or "rejected")
        except asyncio.CancelledError:
            if self._refusal is None:  # the whole completion is over
                raise
            outcome = self._refusal
        except BaseException as error:  # also SystemExit and KeyboardInterrupt: no tool ends the service
            log.info("tool raised", tool=self.tool.name, error=type(error).__name__)
            outcome = Failure("RAISED", f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
        finally:
            self._meter.end()
            self._release_slot()
            await self._call.abandon()
        self._finish(self._refusal or outcome)

    async def _take_slot(self) -> bool:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._slots.acquire()
        except TimeoutError:
            return False

    def _release_slot(self) -> None:
        """Gives the place back; where a thread is still in it, only when that ends."""
        if self._thread is None or self._thread.done():
            self._slots.release()
        else:
            self._thread.add_done_callback(lambda _: self._slots.release())

    async def _invoke(self) -> str:
        function = self.tool.function
        if inspect.isasyncgenfunction(function):
            async with contextlib.aclosing(function(**self._given())) as pieces:
                async for piece in pieces:
                    self._output.write(_render(piece))
                    await asyncio.sleep(0)  # a tool that yields without waiting lets others run all the same
            return self._output.text
        if inspect.iscoroutinefunction(function):
            return self._output.cut(_render(await function(**self._given())))
        self._thread = start_thread(function, self._given())
        return self._output.cut(_render(await asyncio.shield(self._thread)))

    def _given(self) -> dict[str, Any]:
        injected = {Call: self._call, Session: self._session}
        return {
            **self._arguments.values,
            **self._arguments.inputs,
            **{name: injected[kind] for name, kind in self.tool.signature.injected.items()},
        }

    def _finish(self, outcome: str | Failure) -> None:
        if self._finished.is_set():
            return
        if isinstance(outcome, Failure):
            message = _whole(outcome.message)
            if outcome.code in VETOING:
                self._emit(TurnVetoed(self.id, message[:VETO_CHARS]))
            # The model reads what led up to it.
            outcome = Failure(outcome.code, f"{self._output.text}{self._output.cut(message)}")
        timing = (self._meter.busy, self._meter.waiting, self._queued + self._meter.queued)
        self._emit(CallFinished(self.id, outcome, self._arguments_json, *timing))
        self._finished.set()


class _Output:
    """Streamed output of one call, at most `limit` characters of it."""

    def __init__(self, call_id: str, limit: int, closed: Callable[[], bool], emit: Callable[[Event], None]) -> None:
        self._call_id = call_id
        self._limit = limit
        self._closed = closed
        self._emit = emit
        self._pieces: list[str] = []
        self._length = 0

    @property
    def text(self) -> str:
        """All that was written."""
        return "".join(self._pieces)

    def write(self, text: str) -> None:
        if not text or self._length > self._limit or self._closed():
            return
        piece = self.cut(text, self._limit - self._length)
        self._length += len(text)
        self._pieces.append(piece)
        self._emit(CallOutput(self._call_id, piece))

    def cut(self, text: str, room: int | None = None) -> str:
        room = self._limit if room is None else room
        return text if len(text) <= room else f"{text[:room]}\n[cut at {self._limit} characters]"


def _render(value: Any) -> str:
    """What a tool gave, as text for the model: text as it is, anything else as JSON."""
    if isinstance(value, str):
        return _whole(value)
    return "" if value is None else pydantic_core.to_json(value, fallback=str).decode()


def _whole(text: str) -> str:
    """Text without lone surrogates, which no message can carry."""
    return text.encode("utf-8", "replace").decode()
