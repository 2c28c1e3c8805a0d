"""What a completion has to say to its caller, in order.

Text goes by the listener, where the caller has one; everything else, and all of it where there is none, by the
completion's own stream. There it waits for a caller that is slow, and what waits is bounded: text is put together, and
of what tools say no more is read while there is much of it, so that it waits with them.
"""

import asyncio
from collections import deque

from decoder_service.listeners import Listener
from protos.conveyor.decoder.v1 import decoder_pb2
from protos.rpc.growing import grown

TEXT = frozenset(("text_delta", "content_delta", "arguments_delta"))
MOST_ALONE = 64  # events that wait; from then on text is put together
MOST_BYTES = 1 << 20  # that wait before tools have to


class Outbox:
    """The events of one completion, which the listener knows as `told_as`."""

    def __init__(self, listener: Listener | None = None, told_as: int = 0) -> None:
        self._listener = listener
        self._told_as = told_as
        self._number = 0
        self._waiting: deque[decoder_pb2.GenerateResponse] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._is_closed = False
        self._is_numbered = False

    def put(self, event: decoder_pb2.GenerateResponse) -> None:
        """Says it."""
        listener = self._listener
        if listener is not None and event.WhichOneof("event") in TEXT:
            self._number += 1
            event.number = self._number
            listener.tell(self._told_as, event)
            return
        self._bytes += event.ByteSize()
        if self._bytes > MOST_BYTES:
            self._room.clear()
        if not self._grows(event):
            self._append(event)
        self._news.set()

    def accept(self, instance: str) -> None:
        """Says which stream brings the text, before all else. `instance` names this process."""
        name = self._listener.name if self._listener is not None else ""
        accepted = decoder_pb2.Accepted(instance=instance, listener=name)
        self._waiting.append(decoder_pb2.GenerateResponse(accepted=accepted))
        self._is_numbered = True

    def close(self) -> None:
        """Nothing more is said."""
        self._is_closed = True
        self._news.set()

    async def get(self) -> decoder_pb2.GenerateResponse | None:
        """The next event of the completion's own stream; None at the end."""
        while not self._waiting:
            if self._is_closed:
                return None
            self._news.clear()
            await self._news.wait()
        event = self._waiting.popleft()
        self._bytes = self._bytes - event.ByteSize() if self._waiting else 0
        if self._bytes <= MOST_BYTES:
            self._room.set()
        return event

    async def room(self) -> None:
        """Waits while more waits than should."""
        await self._room.wait()

    def _grows(self, event: decoder_pb2.GenerateResponse) -> bool:
        """Adds the event to the last one that waits, where nothing has been said between the two."""
        if len(self._waiting) < MOST_ALONE:
            return False
        last = self._waiting[-1]
        follows = not self._is_numbered or last.number == self._number
        return follows and grown(last, event)

    def _append(self, event: decoder_pb2.GenerateResponse) -> None:
        if self._is_numbered:
            self._number += 1
            event.number = self._number
        self._waiting.append(event)
