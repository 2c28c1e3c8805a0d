"""One call, from its name to its outcome.

    opened ─▶ launched ─▶ running ─▶ finished
       └──── refused, malformed ───────▲

The parser's verbs (`open_argument` … `seal`, `give_up`) fill it with input at any time; `launch` starts the tool, and
is the only thing that modes time differently. What goes wrong before the launch is told at the launch, so that a mode
that starts late also fails late.

Sealing has two steps where the tool changes the world or a person must allow it: the text is complete, and then, once
the call is launched too, it is cleared (`clearance.py`). Only then `Call.sealed()` returns, and only then a tool that
cannot start early begins.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable

import structlog

from tool_service.execution.arguments import Arguments
from tool_service.execution.clearance import Clearance
from tool_service.execution.events import (
    CallFinished,
    CallStarted,
    Failure,
    HandedOver,
    Outcome,
    TurnVetoed,
    UnitFinished,
)
from tool_service.execution.invocation import InnerCaller, Invocation
from tool_service.execution.journal import JournalError
from tool_service.execution.output import Output
from tool_service.execution.place import CallPlace
from tool_service.execution.render import described, whole
from tool_service.execution.shared import Shared
from tool_service.execution.workers import NoPlaceError, ToolRaised, WorkerDied
from tool_service.formats.events import JsonValue
from tool_service.interface.call import Call
from tool_service.interface.client_function import ClientFunction
from tool_service.interface.meter import Meter, Unit
from tool_service.interface.reject import Reject, ToolError
from tool_service.interface.schema import InvalidArgumentError
from tool_service.interface.tool import Tool

log = structlog.get_logger()

VETOING = ("REJECTED", "INVALID_ARGUMENTS")
VETO_CHARS = 500
CANCEL_SECONDS = 0.5  # how long a tool may take to stop


class RunningCall:
    """One call of `tool`. Everything it has to say goes to `shared.emit`, `CallFinished` last and once.

    `inner_calls` makes what is behind the toolbox of a tool that asks for one. `after` are the inner calls that it had
    to wait for.
    """

    def __init__(
        self,
        call_id: str,
        tool: Tool,
        offset: int,
        shared: Shared,
        *,
        inner_calls: Callable[["RunningCall"], InnerCaller] | None = None,
        vetoes: bool = True,
    ) -> None:
        self.id = call_id
        self.tool = tool
        self.after: tuple[str, ...] = ()
        self._offset = offset
        self._vetoes = vetoes
        self._emit = shared.emit
        self._timeout = min(tool.timeout, shared.limits.call_timeout)
        self._finished = asyncio.Event()
        self._output = Output(call_id, shared.limits.max_result_chars, self._finished.is_set, shared.emit)
        place = CallPlace(shared.slots[tool.name])
        self.meter = Meter(self._timeout, self._on_unit, self._on_timeout, place)
        key = f"{shared.completion_id}/{call_id}"
        self.call = Call(call_id, key, self.meter, shared.traceparent(call_id))
        self._arguments = Arguments(tool.signature, self.meter)
        self._arguments_json = ""
        make_inner_calls = None if inner_calls is None else lambda: inner_calls(self)
        self._invocation = Invocation(
            tool, self.call, self._arguments, self._output, self.meter, place, shared, make_inner_calls
        )
        self._clearance = Clearance(call_id, key, tool, shared)
        self._clearing: asyncio.Task[None] | None = None
        self._verdict: Outcome | None = None  # the outcome, whatever the tool may still do
        self._task: asyncio.Task[None] | None = None
        self._launched = False
        self._complete: int | None = None  # where in the text

    @property
    def refused(self) -> bool:
        """Whether it is known that it cannot succeed."""
        return isinstance(self._verdict, Failure)

    @property
    def over(self) -> bool:
        """Whether its outcome has been told."""
        return self._finished.is_set()

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None before that."""
        return self._verdict if self.over else None

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
        """The text of the call is complete."""
        self._offset = offset if not self.tool.starts_early else self._offset
        self._check(lambda: self._arguments.complete(offset))
        if self._verdict is not None:
            return
        self._arguments_json = json.dumps(arguments, ensure_ascii=False)
        self._complete = offset
        if not self._clearance.needed:
            self.call.seal(offset)
        elif self._launched:
            self._start_clearing(offset)

    def give_up(self, failure: Failure) -> None:
        """The call will never be sealed: its tool is stopped and what it prepared undone."""
        self._conclude(failure)

    def decide(self, approved: bool, reason: str) -> None:
        """A person's word, where the call waits for it."""
        self._clearance.decide(approved, reason)

    def launch(self) -> None:
        """Starts the tool, or tells why it cannot start."""
        if self._launched:
            return
        self._launched = True
        if self._verdict is not None:
            self._finish(self._verdict)
        else:
            self._task = asyncio.create_task(self._run(), name=f"tool {self.tool.name} {self.id}")
            self._task.add_done_callback(self._on_done)
            if self._clearance.needed and self._complete is not None:
                self._start_clearing(self._complete)

    async def finished(self) -> None:
        """Waits for the outcome."""
        await self._finished.wait()

    async def cancel(self) -> None:
        """Stops the tool, for a completion that is over. One that does not let itself be stopped is left to itself."""
        tasks = [task for task in (self._clearing, self._task) if task is not None]
        for task in tasks:
            task.cancel()
        _, stubborn = await asyncio.wait(tasks, timeout=CANCEL_SECONDS) if tasks else ((), ())
        if stubborn:
            log.error("tool ignores its cancellation", tool=self.tool.name)
        await self._withdraw_unless_begun()

    def _start_clearing(self, offset: int) -> None:
        self._clearing = asyncio.create_task(self._clear(offset), name=f"clearance {self.id}")

    async def _clear(self, offset: int) -> None:
        outcome: str | Failure | None
        try:
            outcome = await self._clearance.obtain(self._arguments_json)
        except Exception as error:
            log.exception("clearance failed", call=self.call.key)
            outcome = Failure("RAISED", f"The call was not run: {described(error)}.")
        if outcome is not None:
            self._conclude(outcome)
        elif self._verdict is None:
            self.call.seal(offset)

    def _check(self, step: Callable[[], None]) -> None:
        if self._verdict is None:
            try:
                step()
            except InvalidArgumentError as error:
                self._conclude(Failure("INVALID_ARGUMENTS", f"{error}."))

    def _conclude(self, verdict: str | Failure) -> None:
        """Settles the outcome from outside the tool, which is stopped."""
        if self._verdict is not None or self.over:
            return
        self._verdict = verdict
        if self._task is not None:
            self._task.cancel()
            asyncio.get_running_loop().call_later(CANCEL_SECONDS, self._finish, verdict)

    def _on_unit(self, unit: Unit) -> None:
        if not self.over:  # a tool that was given up may work on for a moment
            self._emit(UnitFinished(self.id, unit))

    def _on_timeout(self) -> None:
        self._conclude(
            Failure("TIMEOUT", f"{self.tool.name} was stopped: it worked for more than {self._timeout:g} s.")
        )

    def _on_done(self, task: asyncio.Task[None]) -> None:
        """A task that is cancelled before its first step never runs: its outcome is told here."""
        if task.cancelled() and self._verdict is not None:
            self._finish(self._verdict)

    async def _run(self) -> None:
        try:
            outcome = await self._outcome()
            unsettled = self._verdict is None
            self._verdict = outcome if self._verdict is None else self._verdict
        finally:
            self.meter.end()
            if self._clearing is not None:
                self._clearing.cancel()  # what failed before it was cleared waits for nobody
            await self.call.abandon()
            await self._withdraw_unless_begun()
        if unsettled:
            await self._note(outcome)
        self._finish(self._verdict)

    async def _outcome(self) -> Outcome:
        """What comes of the tool. Raises CancelledError where the whole completion is over."""
        try:
            result = await self._work()
            await self.call.until_sealed()  # a result counts only for a call that turned out to be whole and valid
            return result
        except Reject as error:
            return Failure("REJECTED", str(error) or "rejected")
        except ToolError as error:
            return Failure("RAISED", str(error) or f"{self.tool.name} failed.")
        except asyncio.CancelledError:
            if self._verdict is None:
                raise
            return self._verdict
        except NoPlaceError:
            return Failure("TIMEOUT", f"{self.tool.name} had no free place for {self._timeout:g} s.")
        except (ToolRaised, WorkerDied) as error:
            return Failure("RAISED", f"{error}.")
        except BaseException as error:  # also SystemExit and KeyboardInterrupt: no tool ends the service
            log.info("tool raised", tool=self.tool.name, error=type(error).__name__)
            return Failure("RAISED", described(error))

    @property
    def is_clients(self) -> bool:
        """Whether the client runs it."""
        return isinstance(self.tool, ClientFunction)

    async def _work(self) -> str | HandedOver:
        if self.is_clients:
            return HandedOver()
        if not self.tool.starts_early or not await self._clearance.may_prepare():
            await self.call.until_sealed()
        async with self._invocation.placed(self._timeout):
            self._emit(CallStarted(self.id, self.after))
            self.meter.begin("start", self._offset)
            return await self._invocation.run(self._arguments_json, self._timeout)

    async def _withdraw_unless_begun(self) -> None:
        if not self._invocation.begun:
            with contextlib.suppress(JournalError):  # it then counts as one that may have acted
                await self._clearance.withdraw()

    async def _note(self, outcome: Outcome) -> None:
        if isinstance(outcome, HandedOver):
            return
        try:
            await self._clearance.note(outcome)
        except JournalError as error:
            log.error("an outcome could not be noted", call=self.call.key, cause=str(error))

    def _finish(self, outcome: Outcome) -> None:
        if self._finished.is_set():
            return
        if isinstance(outcome, Failure):
            message = whole(outcome.message)
            if outcome.code in VETOING and self._vetoes:
                self._emit(TurnVetoed(self.id, message[:VETO_CHARS]))
            # The model reads what led up to it.
            outcome = Failure(outcome.code, f"{self._output.text}{self._output.cut(message)}")
        self._verdict = outcome
        timing = (self.meter.busy, self.meter.waiting, self._invocation.queued + self.meter.queued)
        self._emit(CallFinished(self.id, outcome, self._arguments_json, *timing, self._complete))
        self._finished.set()
