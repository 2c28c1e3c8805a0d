"""The decoder's side of `ToolService.Execute`: one stream per completion, but for its text (`tool_feed.py`)."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

import grpc
import structlog

from decoder_service.tool_feed import Feed, ToolFeeds
from protos.conveyor.tool.v1 import tool_pb2, tool_pb2_grpc
from protos.rpc import context
from protos.rpc.errors import UNEXPECTED, Reason, ServiceError, from_rpc_error

log = structlog.get_logger()

CLOSE_SECONDS = 2.0
END_REASONS = {
    "stop": tool_pb2.TURN_END_REASON_STOP,
    "length": tool_pb2.TURN_END_REASON_LENGTH,
    "veto": tool_pb2.TURN_END_REASON_VETO,
}


class ToolStream:
    """One completion's stream. An async context manager: leaving it cancels whatever still runs.

    `on_event` is called with every event but `Started` and `TurnFinished`, in order, as it arrives. After each of them
    `room` is waited for: while it takes its time the tools have to, once gRPC's own buffers are full.
    """

    def __init__(
        self,
        stub: "tool_pb2_grpc.ToolServiceAsyncStub",
        feeds: ToolFeeds,
        on_event: Callable[[tool_pb2.ExecuteResponse], None],
        room: Callable[[], Awaitable[None]],
    ) -> None:
        self._stub = stub
        self._feeds = feeds
        self._feed: Feed | None = None  # by which text goes; else by this stream
        self._number = feeds.next_number()
        self._fed_length = 0  # of the running turn
        self._unsent: list[str] = []
        self._on_event = on_event
        self._room = room
        self._finished: asyncio.Queue[int | ServiceError] = asyncio.Queue()
        self._failure: ServiceError | None = None
        self._reader: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()  # a call takes one write at a time, and decisions come at any

    async def __aenter__(self) -> Self:
        running = context.current()
        self._call = self._stub.Execute(metadata=running.metadata(), timeout=running.remaining_seconds())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None and self._failure is None and self._reader is not None:
                await self._close(self._reader)
        finally:
            self._call.cancel()
            if self._feed is not None:
                self._feed.leave(self._number)
            if self._reader is not None:
                self._reader.cancel()
                await asyncio.gather(self._reader, return_exceptions=True)

    async def start(self, start: tool_pb2.Start) -> tool_pb2.Started:
        """Opens the completion, with what a request has as its `tool_use`. Raises ServiceError: the tool service's own,
        or that it cannot be reached."""
        start.feed, start.fed_as = self._feeds.name, self._number
        await self._send(tool_pb2.ExecuteRequest(start=start))
        try:
            first = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, Reason.TOOL_SERVICE_UNAVAILABLE).within("tool_use") from error
        if not isinstance(first, tool_pb2.ExecuteResponse) or first.WhichOneof("event") != "started":
            raise ServiceError(Reason.TOOL_SERVICE_UNAVAILABLE, "the tool service closed the stream before it started")
        self._reader = asyncio.create_task(self._read())
        self._feed = self._feeds.to(first.started.instance)
        if self._feed is not None:
            self._feed.join(self._number, self._lose)
        return first.started

    def text(self, text: str) -> None:
        """Passes on text of the running turn: at once by the feed, else with `flush`."""
        if self._feed is None:
            self._unsent.append(text)
        else:
            self._fed_length += len(text)
            self._feed.say(self._number, text)

    async def flush(self) -> None:
        """Sends what no feed has taken. Raises ServiceError, also where the stream has failed before."""
        if self._unsent:
            text, self._unsent = "".join(self._unsent), []
            await self._send(tool_pb2.ExecuteRequest(text_delta=tool_pb2.TextDelta(text=text)))
        elif self._failure is not None:
            raise self._failure

    async def decide(self, call_id: str, approved: bool, reason: str) -> None:
        """Passes on a person's word on a call."""
        decide = tool_pb2.Decide(call_id=call_id, approved=approved, reason=reason)
        await self._send(tool_pb2.ExecuteRequest(decide=decide))

    async def end_turn(self, reason: str) -> int:
        """Ends the turn; waits until all of its calls have finished and says how many there were."""
        await self.flush()
        length, self._fed_length = self._fed_length, 0
        end = tool_pb2.TurnEnd(reason=END_REASONS[reason], text_length=length)
        await self._send(tool_pb2.ExecuteRequest(turn_end=end))
        outcome = await self._finished.get()
        if isinstance(outcome, ServiceError):
            raise outcome
        return outcome

    async def _close(self, reader: asyncio.Task[None]) -> None:
        """Tells the tool service that all is said and lets it free what it holds, for a moment."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._call.done_writing()
                await asyncio.gather(reader, return_exceptions=True)
        except (TimeoutError, grpc.aio.AioRpcError, asyncio.InvalidStateError):
            log.info("tool stream did not close")

    async def _send(self, request: tool_pb2.ExecuteRequest) -> None:
        if self._failure is not None:
            raise self._failure
        try:
            async with self._writing:
                await self._call.write(request)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
            raise await self._why(error) from error

    async def _why(self, error: BaseException) -> ServiceError:
        """A failed write says little; the call's status says why."""
        if isinstance(error, grpc.aio.AioRpcError):
            return from_rpc_error(error, Reason.TOOL_SERVICE_UNAVAILABLE)
        details = await self._call.details() if self._call.done() else ""
        return ServiceError(Reason.TOOL_SERVICE_UNAVAILABLE, details or "the tool service closed the stream")

    def _lose(self) -> None:
        """The feed is gone. Text of a turn that goes on may be gone with it; whether that of a turn which has ended was
        whole, the tool service knows. Later turns go by this stream."""
        self._feed = None
        if self._fed_length:
            self._failure = ServiceError(Reason.TOOL_SERVICE_UNAVAILABLE, "the tool service closed the feed")
            self._finished.put_nowait(self._failure)

    async def _read(self) -> None:
        """Reads to the stream's end. However it ends, whoever waits for the turn's end is told."""
        failure = ServiceError(Reason.TOOL_SERVICE_UNAVAILABLE, "the tool service closed the stream")
        try:
            while isinstance(response := await self._call.read(), tool_pb2.ExecuteResponse):
                if response.WhichOneof("event") == "turn_finished":
                    self._finished.put_nowait(response.turn_finished.call_count)
                else:
                    self._on_event(response)
                    await self._room()
        except grpc.aio.AioRpcError as error:
            failure = from_rpc_error(error, Reason.TOOL_SERVICE_UNAVAILABLE)
        except Exception:
            log.exception("reading from the tool service failed")
            failure = ServiceError(Reason.INTERNAL, UNEXPECTED)
        self._failure = failure
        self._finished.put_nowait(failure)
