"""Text for the tool service: what a step has said for all of its sequences, in one message.

A message costs some hundred microseconds of both processes whatever is in it, most of it for waking up. With one for
each sequence, text for tools took a quarter of what decoding itself takes at 8 sequences (docs/evaluation.md). So it
goes by streams that all completions share, one to each process of the tool service; everything else of a completion
goes by its own stream. Which process has a completion is known when it has started there. Until there is a feed to that
process, text goes by the completion's own stream.
"""

import asyncio
import itertools
import secrets
from collections.abc import Callable
from contextlib import suppress

import grpc

from protos.conveyor.tool.v1 import tool_pb2, tool_pb2_grpc
from protos.rpc.instances import PerInstance

OPEN_SECONDS = 5.0
MOST_TEXTS = 1024  # in a message, for a message has its limit

_Call = grpc.aio.StreamStreamCall[tool_pb2.FeedRequest, tool_pb2.FeedResponse]


class Feed:
    """An open stream to one process. What waits to be written is bounded by what running sequences may say."""

    def __init__(self, call: _Call) -> None:
        self._call = call
        self._pending: list[tool_pb2.FedText] = []
        self._news = asyncio.Event()
        self._listeners: dict[int, Callable[[], None]] = {}
        self.is_lost = False
        self._living = asyncio.create_task(self._live())

    def join(self, number: int, on_loss: Callable[[], None]) -> None:
        """A completion's text will come. `on_loss` is called when the feed is lost, and the text with it."""
        self._listeners[number] = on_loss

    def leave(self, number: int) -> None:
        """No more text of it will come."""
        self._listeners.pop(number, None)

    def say(self, number: int, text: str) -> None:
        """More text of a completion; goes out with what others say in this round of the event loop."""
        self._pending.append(tool_pb2.FedText(fed_as=number, text=text))
        self._news.set()

    async def aclose(self) -> None:
        """Ends the stream."""
        self._living.cancel()
        await asyncio.gather(self._living, return_exceptions=True)
        self._call.cancel()  # a task that is cancelled before its first step has no `finally`

    async def _live(self) -> None:
        writing = asyncio.create_task(self._write())
        ended = asyncio.create_task(self._call.read())
        try:
            await asyncio.wait((writing, ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.is_lost = True
            self._call.cancel()
            for task in (writing, ended):
                task.cancel()
            await asyncio.gather(writing, ended, return_exceptions=True)
            for on_loss in list(self._listeners.values()):
                on_loss()

    async def _write(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._pending:
                texts, self._pending = self._pending[:MOST_TEXTS], self._pending[MOST_TEXTS:]
                await self._call.write(tool_pb2.FeedRequest(texts=texts))


class ToolFeeds:
    """The feeds of this decoder, by the process that they lead to."""

    def __init__(self, stub: "tool_pb2_grpc.ToolServiceAsyncStub") -> None:
        self.name = secrets.token_hex(16)
        self._stub = stub
        self._numbers = itertools.count(1)
        self._feeds = PerInstance("feed", self._open)

    def next_number(self) -> int:
        """A completion's number."""
        return next(self._numbers)

    def to(self, instance: str) -> Feed | None:
        """The feed to a process; where there is none, None, and one is opened for the completions to come."""
        return self._feeds.to(instance)

    async def aclose(self) -> None:
        """Ends all of them."""
        await self._feeds.aclose()

    async def _open(self) -> tuple[str, Feed] | None:
        call = self._stub.Feed()
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError, TimeoutError):
            async with asyncio.timeout(OPEN_SECONDS):
                await call.write(tool_pb2.FeedRequest(feed=self.name))
                response = await call.read()
            if isinstance(response, tool_pb2.FeedResponse) and response.instance:
                return response.instance, Feed(call)
        call.cancel()
        return None
