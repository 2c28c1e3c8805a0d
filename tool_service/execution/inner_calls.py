"""Calls that a tool makes of other tools: what is behind a `Toolbox`.

An inner call is a running call like any other, with an id below its parent's (`call_1.2`), in the same session and
within the same limits. Its arguments come all at once. In mode `serial` inner calls run one after the other.

Those of a tool that changes the world start only when their parent is sealed, and one after the other in the order in
which they were opened: each may hold what the next one needs, such as a database's lock, until it has acted.
"""

import asyncio
import contextlib
import itertools
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from tool_service.execution.events import CallOpened, Failure
from tool_service.execution.running_call import RunningCall
from tool_service.execution.shared import Mode, Shared
from tool_service.interface.tool import Tool
from tool_service.interface.toolbox import InnerCall, InnerCallError

T = TypeVar("T")

MAX_ARGUMENTS_CHARS = 1 << 20  # as of a model's call; events have them whole, and a message has its limit


class InnerCalls:
    """The inner calls of `parent`. `register` makes each one known to who may approve it."""

    def __init__(
        self,
        parent: RunningCall,
        tools: Mapping[str, Tool],
        shared: Shared,
        register: Callable[[RunningCall], None],
    ) -> None:
        self._parent = parent
        self.tools = tools
        self._shared = shared
        self._register = register
        self._numbers = itertools.count(1)
        self._one_at_a_time = asyncio.Lock()
        self._opened: list[RunningCall] = []
        self._last: dict[str, RunningCall] = {}  # of each tool that changes the world

    def open(self, name: str) -> InnerCall:
        """Opens a call at the place of the text that its parent has read. Raises InnerCallError."""
        number = next(self._numbers)
        if name not in self.tools:
            raise InnerCallError(f"there is no tool {name!r}; there are: {', '.join(sorted(self.tools))}")
        if number > self._shared.limits.max_calls_per_turn:
            raise InnerCallError(f"only {self._shared.limits.max_calls_per_turn} calls are allowed")
        call_id, offset = f"{self._parent.id}.{number}", self._parent.meter.offset
        self._shared.emit(CallOpened(call_id, name, offset, self._parent.id))
        running = RunningCall(call_id, self.tools[name], offset, self._shared, vetoes=False)
        self._register(running)
        self._opened.append(running)
        turn = self._one_at_a_time if self._shared.mode is Mode.SERIAL else contextlib.nullcontext()
        return _InnerCall(running, offset, self._leave(running), turn)

    def _leave(self, running: RunningCall) -> Callable[[], Awaitable[None]]:
        """Makes what waits until a call may start."""
        if running.tool.effect.harmless:
            return _at_once
        before = self._last.get(running.tool.name)
        self._last[running.tool.name] = running

        async def leave() -> None:
            await self._parent.call.until_sealed()
            if before is not None:
                await before.finished()

        return leave

    async def aside(self, work: Awaitable[T]) -> T:
        """Waits off the parent's clock."""
        return await self._parent.meter.aside(work)

    async def aclose(self) -> None:
        """Ends those that still run, and tells so: the parent is at its end."""
        await asyncio.gather(*map(_end, self._opened))


class _InnerCall:
    def __init__(
        self,
        running: RunningCall,
        offset: int,
        leave: Callable[[], Awaitable[None]],
        turn: "contextlib.AbstractAsyncContextManager[Any]",
    ) -> None:
        self.id = running.id
        self._running = running
        self._offset = offset
        self._leave = leave
        self._turn = turn

    async def run(self, arguments: Mapping[str, Any], after: Sequence[InnerCall] = ()) -> str:
        self._running.after = tuple(call.id for call in after)
        if _length(arguments) > MAX_ARGUMENTS_CHARS:
            self._running.give_up(
                Failure("INVALID_ARGUMENTS", f"Arguments of more than {MAX_ARGUMENTS_CHARS} characters.")
            )
        try:
            await self._leave()  # before that it may neither act nor be noted as begun
            async with self._turn:
                self._hand_over(arguments)
                self._running.launch()
                self._running.seal(dict(arguments), self._offset)
                await self._running.finished()
        finally:
            await _end(self._running)
        outcome = self._running.outcome
        if isinstance(outcome, str):
            return outcome
        raise InnerCallError(outcome.message if isinstance(outcome, Failure) else "it did not end")

    def fail(self, reason: str) -> None:
        self._running.give_up(Failure("INCOMPLETE", reason))
        self._running.launch()

    def _hand_over(self, arguments: Mapping[str, Any]) -> None:
        for name, value in arguments.items():
            self._running.open_argument(name)
            if isinstance(value, str):
                self._running.push(name, value, self._offset)
            self._running.seal_argument(name, value, self._offset)


def _length(arguments: Mapping[str, Any]) -> int:
    return len(json.dumps(arguments, ensure_ascii=False))


async def _at_once() -> None:
    """Waits for nothing."""


async def _end(running: RunningCall) -> None:
    if not running.over:
        running.give_up(Failure("INCOMPLETE", "The call that made this one ended before it."))
        running.launch()
        await running.cancel()
