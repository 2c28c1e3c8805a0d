"""How the tool of a call is run: its place among the tool's other calls, what it is given, and what it gives.

async def f             awaited
async def f with yield  iterated; each piece is told as it comes
def f                   in a worker (`workers.py`), or in a thread where no worker can load it
"""

import asyncio
import contextlib
import inspect
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

from tool_service.execution.arguments import Arguments
from tool_service.execution.output import Output
from tool_service.execution.place import CallPlace
from tool_service.execution.render import render
from tool_service.execution.shared import Shared
from tool_service.execution.threads import start_thread
from tool_service.execution.workers import NoPlaceError, Task, runs_in_worker
from tool_service.interface.artifact import Artifact
from tool_service.interface.call import Call
from tool_service.interface.meter import Meter
from tool_service.interface.session import Session
from tool_service.interface.tool import Tool
from tool_service.interface.toolbox import Caller, Toolbox


class InnerCaller(Caller, Protocol):
    """The calls that a tool makes."""

    tools: Mapping[str, Tool]

    async def aclose(self) -> None:
        """Ends those that still run."""
        ...


class Invocation:
    """One run of `tool`. `begun`: whether it has run at all; `queued`: seconds that it waited for its place.

    `inner_calls` makes what is behind the toolbox of a tool that asks for one.
    """

    def __init__(
        self,
        tool: Tool,
        call: Call,
        arguments: Arguments,
        output: Output,
        meter: Meter,
        place: CallPlace,
        shared: Shared,
        inner_calls: Callable[[], InnerCaller] | None,
    ) -> None:
        self.begun = False
        self.queued = 0.0
        self._tool = tool
        self._call = call
        self._arguments = arguments
        self._output = output
        self._meter = meter
        self._place = place
        self._shared = shared
        self._make_inner_calls = inner_calls
        self._inner_calls: InnerCaller | None = None
        self._thread: asyncio.Future[Any] | None = None

    @contextlib.asynccontextmanager
    async def placed(self, seconds: float) -> AsyncIterator[None]:
        """One of the tool's places. Raises NoPlaceError where none is free within `seconds`."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                await self._place.take()
        except TimeoutError:
            raise NoPlaceError from None
        self.queued = time.monotonic() - began
        try:
            yield
        finally:
            if self._thread is None or self._thread.done():
                self._place.give_back()
            else:  # it is still in its place
                self._thread.add_done_callback(lambda _: self._place.give_back())

    async def run(self, arguments_json: str, seconds: float) -> str:
        """What the tool gives. `seconds` bounds the wait for a worker. Raises what the tool raises."""
        try:
            if runs_in_worker(self._tool):
                return await self._run_in_worker(arguments_json, seconds)
            self.begun = True
            return await self._run_here()
        finally:
            self._meter.end()
            if self._inner_calls is not None:
                await self._inner_calls.aclose()

    async def _run_in_worker(self, arguments_json: str, seconds: float) -> str:
        source, most = self._tool.source, self._shared.limits.max_result_chars
        async with self._shared.workers.place(self._meter.queue, seconds) as worker:
            await self._meter.queue(worker.load(source))
            self.begun = True
            return await self._result(await worker.run(Task(source, self._tool.name, arguments_json, most)))

    async def _run_here(self) -> str:
        function = self._tool.function
        if inspect.isasyncgenfunction(function):
            async with contextlib.aclosing(function(**self._given())) as pieces:
                async for piece in pieces:
                    await self._room()
                    self._say(piece)
                    await asyncio.sleep(0)  # a tool that yields without waiting lets others run all the same
            return self._output.text
        if inspect.iscoroutinefunction(function):
            return await self._result(await function(**self._given()))
        self._thread = start_thread(function, self._given())
        return await self._result(await asyncio.shield(self._thread))

    async def _room(self) -> None:
        """Waits while whoever is to hear of it is slow, off the clock."""
        if self._shared.way_out.is_full:
            await self._meter.aside(self._shared.way_out.room())

    def _say(self, piece: Any) -> None:
        if isinstance(piece, Artifact):
            self._output.attach(piece)
        else:
            self._output.write(render(piece))

    async def _result(self, value: Any) -> str:
        if isinstance(value, Artifact):
            await self._room()
            self._output.attach(value)
            return self._output.text
        return self._output.cut(render(value))

    def _given(self) -> dict[str, Any]:
        return {
            **self._arguments.values,
            **self._arguments.inputs,
            **{name: self._injected(kind) for name, kind in self._tool.signature.injected.items()},
        }

    def _injected(self, kind: type) -> Any:
        if kind is Session:
            return Session(self._shared.session, self._meter)
        if kind is Toolbox:
            if self._make_inner_calls is None:
                raise RuntimeError(f"{self._tool.name} was called by a tool, and cannot call others itself")
            self._inner_calls = self._make_inner_calls()
            return Toolbox(self._inner_calls.tools, self._inner_calls)
        return self._call
