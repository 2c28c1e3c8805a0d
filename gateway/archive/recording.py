"""The events of one completion while it runs, for whoever wants to see them: from the first on, or from where they were
cut off."""

import asyncio
import enum
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from gateway.archive.summary import Summary
from gateway.message_json import to_data, word
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.rpc.errors import ServiceError

PROMPT_CHARS = 200
# Text of a model, even of 100,000 tokens, fits; what does not are pictures and output of tools without end.
MAX_BYTES = 8 << 20
# Of each recorded event: what Python keeps of it beside its bytes.
_OVERHEAD_BYTES = 50
_ENDED_SECONDS = 1.0
# Events without which a timeline would be wrong. Without what a call said and was given they are small, and as many as
# there are calls and pieces of work.
_NEEDED = frozenset(
    (
        *("turn_started", "turn_decoded", "turn_finished", "turn_vetoed", "finished"),
        *("call_opened", "call_started", "unit_finished", "approval_awaited", "call_finished"),
    )
)


class State(enum.Enum):
    """Where a recording stands.

    state     what is so                                              next
    running   events come; whoever wants to follows, or cancels it    `end`: ended
    ended     no further event comes; it waits to be written          `release`: gone
    gone      it is in the store, or nowhere; its bytes are free      -

    Who follows one goes on to its last event in any state.
    """

    RUNNING = enum.auto()
    ENDED = enum.auto()
    GONE = enum.auto()


class Recording:
    """One completion: `request`, asked by `caller` as `id`, since `begun_at`. `budget` is shared by all that are not
    gone. `wanted`: whether it is to be written when it has ended."""

    def __init__(self, request_id: str, caller: str, begun_at: float, request: pb.CompleteRequest, budget: "Budget"):
        self.id, self.caller, self.begun_at, self.request = request_id, caller, begun_at, request
        self.events: list[bytes] = []  # serialized `CompleteResponse`s
        self.error: ServiceError | None = None
        self.finished: pb.Finished | None = None
        self.state = State.RUNNING
        self.wanted = True
        self._budget = budget
        self._bytes = 0  # of events
        self._cut = False
        self._grown = asyncio.Event()
        self._cancel: Callable[[], None] = lambda: None
        self._request_bytes = request.ByteSize()
        budget.take(self._request_bytes)

    def add(self, response: pb.CompleteResponse) -> None:
        """Takes the next event. Where there has been too much, only what a timeline needs; the last one always."""
        kind = response.WhichOneof("event")
        if kind == "finished":
            self.finished = response.finished
        event = response.SerializeToString()
        if not self._has_room(event):
            self._cut = True
            if kind not in _NEEDED:
                return
            event = _shortened(response).SerializeToString()
            if kind != "finished" and self._bytes + len(event) > 2 * MAX_BYTES:
                return
        size = len(event) + _OVERHEAD_BYTES
        self._bytes += size
        self._budget.take(size)
        self.events.append(event)
        self._tell()

    def end(self, error: ServiceError | None) -> None:
        """Nothing more is coming; `error` where that is not how it should have ended."""
        self.state, self.error = State.ENDED, error if self.finished is None else None
        self._tell()

    def release(self) -> None:
        """It is kept elsewhere, or nowhere: gives its share of the budget back."""
        self.state = State.GONE
        self._budget.take(-self._bytes - self._request_bytes)

    def on_cancel(self, cancel: Callable[[], None]) -> None:
        """What stops the work behind it."""
        self._cancel = cancel

    def cancel(self) -> None:
        """Stops the work behind it, whoever asked for it. Does nothing where it has ended."""
        if self.state is State.RUNNING:
            self._cancel()

    async def follow(self, after: int) -> AsyncGenerator[tuple[int, bytes], None]:
        """The events behind the first `after`, each with its number from 1, until the completion has ended."""
        place = after
        while True:
            grown = self._grown
            while place < len(self.events):
                place += 1
                yield place, self.events[place - 1]
            if self.state is not State.RUNNING and place >= len(self.events):
                return
            if grown is self._grown:
                await grown.wait()

    async def until_ended(self) -> None:
        """Or for a second: who asked for it may read so slowly that it ends later, though nothing works any more."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_ENDED_SECONDS):
                async for _ in self.follow(len(self.events)):
                    pass

    def summary(self) -> Summary:
        """As it stands."""
        said = next((each.content for each in reversed(self.request.messages) if each.role == "user"), "")
        used = self.request.HasField("tool_use")
        mode = word(self.request.tool_use, "mode") if self.request.tool_use.mode else "partial"
        finished, error = self.finished, self.error
        return Summary(
            id=self.id,
            begun_at=round(self.begun_at, 3),
            state="running" if self.state is State.RUNNING else "finished" if finished is not None else "failed",
            prompt=said[:PROMPT_CHARS],
            mode=mode,
            tools=tuple(self.request.tool_use.tools) if used else (),
            finish_reason=None if finished is None else word(finished, "finish_reason"),
            error=None if error is None else _told(error),
            ledger=None if finished is None else {"attained": None, **to_data(finished.ledger)},
            cut=self._cut,
        )

    def _has_room(self, event: bytes) -> bool:
        size = len(event) + _OVERHEAD_BYTES
        return self._bytes + size <= MAX_BYTES and self._budget.allows(size)

    def _tell(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()


@dataclass(slots=True)
class Budget:
    """Bytes that all recordings in memory may hold together."""

    most: int
    taken: int = field(default=0)

    def allows(self, size: int) -> bool:
        """Whether so many more fit."""
        return self.taken + size <= self.most

    def take(self, size: int) -> None:
        """Takes them, or gives them back where they are less than 0."""
        self.taken += size


def _told(error: ServiceError) -> dict[str, str]:
    blamed = {"param": error.field} if error.field else {}
    return {"code": str(error.reason).lower(), "message": error.message, **blamed}


def _shortened(response: pb.CompleteResponse) -> pb.CompleteResponse:
    """Without what may be long: what a call came to, and what it was called with."""
    short = pb.CompleteResponse()
    short.CopyFrom(response)
    if short.HasField("call_finished"):
        short.call_finished.arguments_json = ""
        if short.call_finished.HasField("result"):
            short.call_finished.result = ""
    elif short.HasField("approval_awaited"):
        short.approval_awaited.arguments_json = ""
    return short


def data_of(events: Sequence[bytes]) -> Iterator[dict[str, Any]]:
    """Recorded events as JSON has them."""
    for event in events:
        yield to_data(pb.CompleteResponse.FromString(event))
