"""Events that end when their time is up, whether or not anybody takes them.

A generator that waits for its next event can be told by what it waits for. One whose last event is still being sent,
to a client that does not read, is told nothing: it stands at its `yield`, with all that it holds. So a timer ends it
from outside. Whoever took the event hears of it when they come back for the next one; who does not come back is stuck,
and is cancelled.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Generic, TypeVar

from protos.rpc.errors import Reason, ServiceError

BACK_SECONDS = 1.0  # that whoever takes the events has, after the end, to come back
_AGAIN_SECONDS = 1.0

Event = TypeVar("Event")


class Bounded(Generic[Event]):
    """`events`, for at most `seconds`."""

    def __init__(self, events: AsyncGenerator[Event, None], seconds: float) -> None:
        self._events = events
        self._seconds = seconds
        self._taker: asyncio.Task[object] | None = None  # who has an event, and has not come back
        self._ending: asyncio.Task[None] | None = None

    async def run(self) -> AsyncGenerator[Event, None]:
        """The events. To be called once. Raises `ServiceError` DEADLINE_EXCEEDED when the time is up."""
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._on_late)
        try:
            async for event in self._events:
                self._taker = asyncio.current_task()
                yield event
                self._taker = None
                if self._ending is not None:
                    raise self._error()
        finally:
            self._timer.cancel()
            if self._ending is None:
                await self._events.aclose()
            else:
                await asyncio.wait((self._ending,))

    def _on_late(self) -> None:
        loop = asyncio.get_running_loop()
        if self._taker is None:  # they are being waited for, within the same deadline: that ends them
            self._timer = loop.call_later(_AGAIN_SECONDS, self._on_late)
            return
        self._ending = loop.create_task(self._end())
        self._timer = loop.call_later(BACK_SECONDS, self._taker.cancel)

    async def _end(self) -> None:
        with suppress(ServiceError):
            await self._events.athrow(self._error())

    def _error(self) -> ServiceError:
        return ServiceError(Reason.DEADLINE_EXCEEDED, f"The completion has had its {self._seconds:.3g} s.")
