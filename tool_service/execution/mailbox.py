"""Events on their way to whoever speaks for the model, bounded by having the tools wait.

What calls say while they run can be pictures without end. While much of it waits to be sent, `room` waits, and a tool
that says something waits in it. What a turn's text comes to, and ends of calls, wait for nothing: they are bounded by
the limits of a completion.
"""

import asyncio
from collections import deque

from tool_service.execution.events import CallArtifact, CallFinished, CallOutput, Event

MOST_BYTES = 1 << 20  # that wait before tools have to

Said = Event | Exception | None  # None: nothing more


class Mailbox:
    """The events of one completion, in order."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Said, int]] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self._taken = asyncio.Event()

    def put(self, said: Said) -> None:
        """Takes one, however much waits."""
        size = _size(said)
        self._waiting.append((said, size))
        self._bytes += size
        self._news.set()

    async def get(self) -> Said:
        """The next one."""
        while not self._waiting:
            self._news.clear()
            await self._news.wait()
        said, size = self._waiting.popleft()
        self._bytes -= size
        self._taken.set()
        return said

    @property
    def is_full(self) -> bool:
        """Whether much waits to be sent."""
        return self._bytes > MOST_BYTES

    async def room(self) -> None:
        """Waits while much waits to be sent. Those who waited go on one by one, and what one says at once keeps the
        next one waiting."""
        while self.is_full:
            self._taken.clear()
            await self._taken.wait()


def _size(said: Said) -> int:
    match said:
        case CallOutput():
            return len(said.text)
        case CallArtifact():
            return len(said.artifact.data)
        case CallFinished(outcome=str() as result):
            return len(result)
    return 0
