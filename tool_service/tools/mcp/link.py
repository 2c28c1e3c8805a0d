"""What is known of one connection to a server, and the end of it that we read."""

import asyncio
from typing import Any, Self

import anyio

from tool_service.tools.mcp.pace import Pace

MAX_MESSAGE_BYTES = 8 << 20  # of one message of a server
MESSAGES_PER_SECOND = 500.0
MESSAGE_BURST = 1_000.0


class Link:
    """One connection. `ended` is set when the server will say no more; `cause` is why, as far as that is known.
    `news` is set with it, and when the server has told of a changed list."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.news = asyncio.Event()
        self.changed = False
        self.cause = ""

    def end(self, cause: str) -> None:
        """The connection is over; the first cause that is given stays."""
        self.cause = self.cause or cause
        self.ended.set()
        self.news.set()

    def change(self) -> None:
        """The list of tools is another one now."""
        self.changed = True
        self.news.set()


class Inbound:
    """Passes messages on, at a pace, and notices their end: a `ReadStream` of the SDK before another one."""

    def __init__(self, stream: Any, link: Link) -> None:
        self._stream = stream
        self._link = link
        self._pace = Pace(MESSAGES_PER_SECOND, MESSAGE_BURST)

    async def receive(self) -> Any:
        """The next message. Raises anyio's errors at the end, as the stream behind it."""
        await self._pace.spend(1)
        try:
            return await self._stream.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
            self._link.end("")
            raise

    async def aclose(self) -> None:
        """Takes no more."""
        await self._stream.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
