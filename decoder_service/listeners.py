"""Text for a gateway: what all of its completions say in the same moment, in one message (`DecoderService.Listen`).

A message costs some hundred microseconds of both processes, most of it for waking up. With one for each completion and
step, a gateway took longer to pass 16 completions' tokens on than it may (docs/gateway.md).
"""

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Iterable

from protos.conveyor.decoder.v1 import decoder_pb2
from protos.rpc.errors import Reason, reject

MOST_NAME_CHARS = 64
MESSAGE_BYTES = 1 << 18  # of events in a message, for a message has its limit; a single event may be larger
MOST_BYTES = 16 << 20  # that wait, with what each event costs beside its own; who does not read for so long is cut off
_EVENT_BYTES = 500


class Listener:
    """An open stream to one gateway."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_lost = False
        self.is_ending = False
        self._pending: deque[tuple[decoder_pb2.Told, int]] = deque()  # with their sizes
        self._bytes = 0
        self._news = asyncio.Event()

    def tell(self, told_as: int, event: decoder_pb2.GenerateResponse) -> None:
        """What a completion says; goes out with what others say in this round of the event loop."""
        if self.is_lost:
            return
        size = event.ByteSize() + _EVENT_BYTES
        self._pending.append((decoder_pb2.Told(told_as=told_as, event=event), size))
        self._bytes += size
        self._news.set()
        if self._bytes > MOST_BYTES:
            self.lose()

    def lose(self) -> None:
        """Nothing more is told; what waits is dropped."""
        self.is_lost = True
        self._pending.clear()
        self._news.set()

    def end(self) -> None:
        """Nothing more will be told; what waits is."""
        self.is_ending = True
        self._news.set()

    async def messages(self) -> AsyncGenerator[decoder_pb2.ListenResponse, None]:
        """What is told, until the listener is lost or all is told."""
        while not self.is_lost and not (self.is_ending and not self._pending):
            await self._news.wait()
            self._news.clear()
            while self._pending:
                yield decoder_pb2.ListenResponse(told=self._next())
        if self.is_lost:
            reject(Reason.OVERLOADED, "the listener does not read; what waited for it was dropped")

    def _next(self) -> list[decoder_pb2.Told]:
        """As many of those that wait as a message takes, and one at least."""
        told: list[decoder_pb2.Told] = []
        room = MESSAGE_BYTES
        while self._pending and (not told or self._pending[0][1] <= room):
            event, size = self._pending.popleft()
            told.append(event)
            room -= size
            self._bytes -= size
        return told


class Listeners:
    """The gateways that listen. `instance` names this process."""

    def __init__(self) -> None:
        self.instance = secrets.token_hex(8)
        self._listeners: dict[str, Listener] = {}
        self._is_ended = False

    def open(self, name: str) -> Listener:
        """A new one. Raises ServiceError PROTOCOL_VIOLATION for a name that is taken, or is none."""
        if not 1 <= len(name) <= MOST_NAME_CHARS:
            reject(Reason.PROTOCOL_VIOLATION, f"listener has {len(name)} characters; it must have 1 to 64")
        if name in self._listeners:
            reject(Reason.PROTOCOL_VIOLATION, "a listener of this name is there already")
        listener = self._listeners[name] = Listener(name)
        if self._is_ended:
            listener.end()
        return listener

    def close(self, listener: Listener) -> None:
        """It is gone."""
        listener.lose()
        del self._listeners[listener.name]

    def find(self, names: Iterable[str]) -> Listener | None:
        """The first of the names that listens here."""
        found = (self._listeners.get(name) for name in names)
        return next((each for each in found if each is not None and not (each.is_lost or each.is_ending)), None)

    def end(self) -> None:
        """Ends all of them, and those that come yet, when nobody is left to be told of."""
        self._is_ended = True
        for listener in self._listeners.values():
            listener.end()
