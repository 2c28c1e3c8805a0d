"""The events of one completion while it runs, for whoever wants to see them: from the first on, or from where they were
cut off."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from gateway.message_json import to_data, word
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.rpc.errors import ServiceError

PROMPT_CHARS = 200
# Text of a model, even of 100,000 tokens, fits; what does not are pictures and output of tools without end.
MAX_BYTES = 8 << 20
# Of each recorded event: what Python keeps of it beside its bytes.
_OVERHEAD_BYTES = 50
_ENDED_SECONDS = 1.0
# Events without which a timeline would be wrong. They are small, and as many as there are calls and pieces of work.
_NEEDED = frozenset(
    (
        *("turn_started", "turn_decoded", "turn_finished", "turn_vetoed", "finished"),
        *("call_opened", "call_started", "unit_finished", "approval_awaited", "call_finished"),
    )
)


@dataclass(frozen=True, slots=True)
class Summary:
    """A completion in a few lines. `begun_at`: seconds since 1970. `state`: running, finished or failed. `cut`: whether
    events are missing, because there were too many."""

    id: str
    begun_at: float
    state: str
    prompt: str
    mode: str
    tools: tuple[str, ...]
    finish_reason: str | None = None
    error: dict[str, str] | None = None
    ledger: dict[str, Any] | None = None
    cut: bool = False

    def to_json(self) -> dict[str, Any]:
        """By name."""
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**data, "tools": list(self.tools)}

    @classmethod
    def from_json(cls, text: str) -> "Summary":
        """The other way round."""
        data = json.loads(text)
        return cls(**{**data, "tools": tuple(data["tools"])})


class Recording:
    """One completion: `request`, asked by `caller` as `id`, since `begun_at`. `budget` is shared by all that run."""

    def __init__(self, request_id: str, caller: str, begun_at: float, request: pb.CompleteRequest, budget: "Budget"):
        self.id, self.caller, self.begun_at, self.request = request_id, caller, begun_at, request
        self.events: list[bytes] = []  # serialized `CompleteResponse`s
        self.error: ServiceError | None = None
        self.finished: pb.Finished | None = None
        self.ended = self.forgotten = False
        self._budget = budget
        self._bytes = 0
        self._cut = False
        self._grown = asyncio.Event()
        self._cancel: Callable[[], None] = lambda: None

    def add(self, response: pb.CompleteResponse) -> None:
        """Takes the next event. Where there have been too many, only those that a timeline needs."""
        kind = response.WhichOneof("event")
        if kind == "finished":
            self.finished = response.finished
        event = response.SerializeToString()
        size = len(event) + _OVERHEAD_BYTES
        full = self._bytes + size > MAX_BYTES or not self._budget.allows(size)
        if full and (kind not in _NEEDED or self._bytes > 2 * MAX_BYTES):
            self._cut = True
            return
        self._bytes += size
        self._budget.take(size)
        self.events.append(event)
        self._tell()

    def end(self, error: ServiceError | None) -> None:
        """Nothing more is coming; `error` where that is not how it should have ended."""
        self.ended, self.error = True, error if self.finished is None else None
        self._tell()

    def release(self) -> None:
        """Gives its share of the budget back: it is kept elsewhere, or nowhere."""
        self._budget.take(-self._bytes)
        self._bytes = 0

    def on_cancel(self, cancel: Callable[[], None]) -> None:
        """What stops the work behind it."""
        self._cancel = cancel

    def cancel(self) -> None:
        """Stops the work behind it, whoever asked for it. Does nothing where it has ended."""
        if not self.ended:
            self._cancel()

    async def follow(self, after: int) -> AsyncGenerator[tuple[int, bytes], None]:
        """The events behind the first `after`, each with its number from 1, until the completion has ended."""
        place = after
        while True:
            grown = self._grown
            while place < len(self.events):
                place += 1
                yield place, self.events[place - 1]
            if self.ended and place >= len(self.events):
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
            state="running" if not self.ended else "finished" if finished is not None else "failed",
            prompt=said[:PROMPT_CHARS],
            mode=mode,
            tools=tuple(self.request.tool_use.tools) if used else (),
            finish_reason=None if finished is None else word(finished, "finish_reason"),
            error=None if error is None else {"code": str(error.reason).lower(), "message": error.message},
            ledger=None if finished is None else {"attained": None, **to_data(finished.ledger)},
            cut=self._cut,
        )

    def _tell(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()


@dataclass(slots=True)
class Budget:
    """Bytes that all running recordings may hold together."""

    most: int
    taken: int = field(default=0)

    def allows(self, size: int) -> bool:
        """Whether so many more fit."""
        return self.taken + size <= self.most

    def take(self, size: int) -> None:
        """Takes them, or gives them back where they are less than 0."""
        self.taken += size


def data_of(events: Sequence[bytes]) -> Iterator[dict[str, Any]]:
    """Recorded events as JSON has them."""
    for event in events:
        yield to_data(pb.CompleteResponse.FromString(event))
