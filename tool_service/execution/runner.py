"""One completion: its turns' text in, events of its calls out."""

import asyncio
import dataclasses
import itertools
import json
from collections.abc import Mapping

from tool_service.execution.events import (
    ArgumentsDelta,
    CallFinished,
    CallOpened,
    ContentDelta,
    Event,
    Failure,
    TurnFilled,
    TurnFinished,
    TurnVetoed,
)
from tool_service.execution.inner_calls import InnerCalls
from tool_service.execution.running_call import RunningCall
from tool_service.execution.shared import Limits, Mode, Shared
from tool_service.formats import events as parsed
from tool_service.formats.format import EndReason, Format
from tool_service.interface.tool import Tool

__all__ = ["Limits", "Mode", "Runner"]


class Runner:
    """Runs the calls of one completion: of `tools` by the model, of `inner` by tools that take a `Toolbox`.

    `constrained`: the first turn is written under the format's grammar.
    """

    def __init__(
        self,
        format_: Format,
        tools: Mapping[str, Tool],
        inner: Mapping[str, Tool],
        shared: Shared,
        *,
        constrained: bool = False,
    ) -> None:
        self._format = format_
        self._tools = tools
        self._inner = inner
        self._parameters = {name: tool.signature.json_schema for name, tool in tools.items()}
        self._mode = shared.mode
        self._limits = shared.limits
        self._out = shared.emit
        self._shared = dataclasses.replace(shared, emit=self._emit)
        self._ids = itertools.count(1)
        self._begin_turn()
        if constrained:
            self._parser.expect_grammar()

    def text(self, text: str) -> None:
        """Takes more of the running turn's text."""
        self._offset += len(text)
        self._handle(self._parser.feed(text))

    async def end_turn(self, reason: EndReason) -> None:
        """Takes the turn's end; returns when every call of it has finished."""
        self._decoding = False
        self._handle(self._parser.close(reason))
        for call in self._calls.values():
            call.launch()
            if self._mode is Mode.SERIAL:
                await call.finished()
        for call in self._calls.values():
            await call.finished()
        self._out(TurnFinished(self._opened))
        self._begin_turn()

    def decide(self, call_id: str, approved: bool, reason: str = "") -> None:
        """A person's word on a call that waits for it; any other is left alone."""
        if call_id in self._by_id:
            self._by_id[call_id].decide(approved, reason)

    async def aclose(self) -> None:
        """Stops every call and frees what they left."""
        await asyncio.gather(*(call.cancel() for call in self._calls.values()))
        await self._shared.session.aclose()

    def _begin_turn(self) -> None:
        self._parser = self._format.parser(self._parameters)
        self._calls: dict[int, RunningCall] = {}
        self._by_id: dict[str, RunningCall] = {}  # inner calls too
        self._opened = 0
        self._offset = 0
        self._decoding = True
        self._vetoed = False
        self._filled = self._silent = False

    def _handle(self, events: list[parsed.Event]) -> None:
        for event in events:
            match event:
                case parsed.Text() | parsed.Reasoning():
                    if self._shared.stream_content and not self._silent:
                        self._out(ContentDelta(event.text, isinstance(event, parsed.Reasoning)))
                case parsed.CallOpened():
                    if not self._filled:
                        self._open(event)
                case _ if event.call in self._calls and not self._calls[event.call].over:
                    self._pass_on(self._calls[event.call], event)
            if self._shared.single_call and isinstance(event, parsed.CallSealed | parsed.CallMalformed):
                self._fill(event.call)

    def _open(self, event: parsed.CallOpened) -> None:
        call_id = f"call_{next(self._ids)}"
        self._opened += 1
        self._out(CallOpened(call_id, event.name, self._offset))
        if event.name not in self._tools:
            known = ", ".join(sorted(self._tools))
            self._answer(call_id, Failure("UNKNOWN_TOOL", f"There is no tool {event.name!r}; there are: {known}."))
            return
        if self._opened > self._limits.max_calls_per_turn:
            message = f"Only {self._limits.max_calls_per_turn} calls are allowed in one turn."
            self._answer(call_id, Failure("TOO_MANY_CALLS", message))
            return
        tool = self._tools[event.name]
        call = RunningCall(call_id, tool, self._offset, self._shared, inner_calls=self._inner_calls)
        self._calls[event.call] = call
        self._register(call)
        if self._mode is Mode.PARTIAL and tool.starts_early:
            call.launch()

    def _fill(self, call: int) -> None:
        """The turn has its one call; further ones are not read.

        Where the client runs it, what the turn says more is for nothing. With a tool of ours the next turn goes on
        behind this text, which must not break off amid the format's marks: a call is sealed before those that close it.
        """
        self._filled = True
        if self._decoding and call in self._calls and self._calls[call].is_clients:
            self._silent = True
            self._out(TurnFilled())

    def _inner_calls(self, parent: RunningCall) -> InnerCalls:
        return InnerCalls(parent, self._inner, self._shared, self._register)

    def _register(self, call: RunningCall) -> None:
        self._by_id[call.id] = call

    def _pass_on(self, call: RunningCall, event: parsed.Event) -> None:
        if self._shared.stream_arguments:
            self._tell_arguments(call, event)
        match event:
            case parsed.ArgumentOpened():
                call.open_argument(event.name)
            case parsed.StringDelta():
                call.push(event.name, event.text, self._offset)
            case parsed.ArgumentSealed():
                call.seal_argument(event.name, event.value, self._offset)
            case parsed.CallSealed():
                call.seal(event.arguments, self._offset)
                self._launch_if(call, Mode.PARTIAL, Mode.ON_SEAL)
            case parsed.CallMalformed():
                call.give_up(
                    Failure("INCOMPLETE" if event.incomplete else "MALFORMED", f"The call was not run: {event.reason}.")
                )
                self._launch_if(call, Mode.PARTIAL, Mode.ON_SEAL)
        if call.refused:
            self._launch_if(call, Mode.PARTIAL)

    def _tell_arguments(self, call: RunningCall, event: parsed.Event) -> None:
        match event:
            case parsed.ArgumentOpened():
                self._out(ArgumentsDelta(call.id, event.name, text=""))
            case parsed.StringDelta():
                self._out(ArgumentsDelta(call.id, event.name, text=event.text))
            case parsed.ArgumentSealed() if not isinstance(event.value, str):
                self._out(ArgumentsDelta(call.id, event.name, value_json=json.dumps(event.value)))

    def _launch_if(self, call: RunningCall, *modes: Mode) -> None:
        if self._mode in modes:
            call.launch()

    def _answer(self, call_id: str, failure: Failure) -> None:
        self._out(CallFinished(call_id, failure, "", 0.0, 0.0, 0.0))

    def _emit(self, event: Event) -> None:
        """Passes a call's event on; of vetoes only the first that can still save decoding."""
        if isinstance(event, TurnVetoed):
            if not self._decoding or self._vetoed:
                return
            self._vetoed = True
        self._out(event)
