"""A turn that is written to the tool service at a steady rate, as if a model decoded it.

    begin ─▶ piece 1 ─▶ … ─▶ piece n ─▶ end          piece i is due i / rate seconds after the beginning
               └──────── veto ─────────▶

Each piece is due by the beginning alone, so that one that is late delays none of the others. What happens is told as
the decoder and the gateway would tell it: as events of a completion, on one clock that begins with the turn.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Protocol

from gateway import ledger
from gateway.wire import duration, seconds, to_ledger
from protos.conveyor.gateway.v1 import gateway_pb2
from protos.conveyor.tool.v1 import tool_pb2
from protos.rpc.translation import tool_event

Tell = Callable[[gateway_pb2.CompleteResponse], None]


class Clock(Protocol):
    """A monotonic clock, in seconds."""

    def now(self) -> float:
        """The time."""
        ...

    async def comes(self, event: asyncio.Event, before: float) -> bool:
        """Waits for `event`, but until the time `before` at most. Says whether it came."""
        ...


class LoopClock:
    """The running event loop's clock."""

    def now(self) -> float:
        """The time."""
        return asyncio.get_running_loop().time()

    async def comes(self, event: asyncio.Event, before: float) -> bool:
        """Waits for `event`, but until the time `before` at most. Says whether it came."""
        try:
            async with asyncio.timeout_at(before):
                return await event.wait()
        except TimeoutError:
            return event.is_set()


class PacedTurn:
    """Makes a turn's commands when they are due, takes the tool service's events, and tells `tell` of both.

    `rate` is in pieces a second. `outcome` is that of the first call, once it has one.
    """

    def __init__(self, pieces: Sequence[str], rate: float, tell: Tell, clock: Clock) -> None:
        self.outcome: tool_pb2.CallFinished | None = None
        self.written_count = 0
        self._pieces = pieces
        self._rate = rate
        self._tell = tell
        self._clock = clock
        self._began = self._completion = 0.0
        self._end_reason = gateway_pb2.FINISH_REASON_STOP
        self._vetoed = asyncio.Event()
        self._timeline = ledger.Timeline()
        self._call_id = ""

    @property
    def unwritten_count(self) -> int:
        """Pieces that a veto spared."""
        return len(self._pieces) - self.written_count

    async def commands(self) -> AsyncGenerator[tool_pb2.ExecuteRequest, None]:
        """The commands after `start`, each when it is due. A veto stops the writing at once."""
        self._began = self._clock.now()
        self._say(turn_started=gateway_pb2.TurnStarted(turn=0))
        for number, piece in enumerate(self._pieces, 1):
            if await self._clock.comes(self._vetoed, self._began + number / self._rate):
                break
            self.written_count = number
            self._timeline.add(ledger.TextDecoded(self._now(), len(piece)))
            self._say(text_delta=gateway_pb2.TextDelta(text=piece))
            yield tool_pb2.ExecuteRequest(text_delta=tool_pb2.TextDelta(text=piece))
        yield self._end()

    def take(self, response: tool_pb2.ExecuteResponse) -> None:
        """Takes the next event of the tool service. One of an unknown kind changes nothing."""
        at = self._now()
        match response.WhichOneof("event"):
            case "call_opened":
                self._call_id = self._call_id or response.call_opened.call_id
            case "call_started":
                started = response.call_started
                self._timeline.add(ledger.CallStarted(at, started.call_id, tuple(started.after)))
            case "unit_finished":
                unit = response.unit_finished.unit
                call_id, busy = response.unit_finished.call_id, seconds(unit.busy)
                self._timeline.add(ledger.UnitFinished(at, call_id, unit.text_offset, busy))
            case "call_finished":
                self._finish_call(response.call_finished, at)
            case "turn_vetoed":
                self._vetoed.set()
            case "turn_finished":
                self._timeline.add(ledger.TurnFinished(at))
                self._completion = at
                self._say(turn_finished=gateway_pb2.TurnFinished(call_count=response.turn_finished.call_count))
        if event := tool_event(response, gateway_pb2):
            self._say(**event)

    def finish(self, request_id: str) -> gateway_pb2.Finished:
        """Tells the last event, with the ledger; the whole turn has been taken."""
        finished = gateway_pb2.Finished(
            request_id=request_id,
            finish_reason=self._end_reason,
            usage=self._usage(),
            ledger=to_ledger(self._timeline.close(self._completion)),
        )
        self._say(finished=finished)
        return finished

    def _end(self) -> tool_pb2.ExecuteRequest:
        reason = tool_pb2.TURN_END_REASON_STOP
        if self._vetoed.is_set():
            reason, self._end_reason = tool_pb2.TURN_END_REASON_VETO, gateway_pb2.FINISH_REASON_VETO
        self._timeline.add(ledger.TurnDecoded(self._now()))
        self._say(turn_decoded=gateway_pb2.TurnDecoded(turn=0, finish_reason=self._end_reason, usage=self._usage()))
        return tool_pb2.ExecuteRequest(turn_end=tool_pb2.TurnEnd(reason=reason))

    def _finish_call(self, finished: tool_pb2.CallFinished, at: float) -> None:
        self._timeline.add(ledger.CallFinished(at, finished.call_id, seconds(finished.timing.busy)))
        if finished.call_id == self._call_id:
            self.outcome = finished

    def _usage(self) -> gateway_pb2.Usage:
        return gateway_pb2.Usage(completion_tokens=self.written_count)

    def _now(self) -> float:
        return self._clock.now() - self._began

    def _say(self, **event: Any) -> None:
        self._tell(gateway_pb2.CompleteResponse(at=duration(self._now()), **event))
