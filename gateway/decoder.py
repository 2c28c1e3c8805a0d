"""The client of the decoder."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import grpc
import structlog

from gateway.listening import Ear, Ears, Text
from protos.conveyor.decoder.v1 import decoder_pb2, decoder_pb2_grpc
from protos.rpc import context
from protos.rpc.errors import Reason, ServiceError, from_rpc_error

_Call = grpc.aio.StreamStreamCall[decoder_pb2.GenerateRequest, decoder_pb2.GenerateResponse]
_CANCELLED = "The completion was cancelled."
_CUT_OFF = "The decoder's text was cut off; try again."
_LOST = "The decoder was lost while it worked on this completion; try again once it runs. Its log says why it went."
_UNREACHABLE = "The decoder cannot be reached; try again once it runs and has loaded its model."
_LATE_SECONDS = 10.0

log = structlog.get_logger()


class Generation:
    """A completion on its way through the decoder behind `stub`, in the name and within the deadline of the running
    request. Its text comes by `ears` where one of them leads there."""

    def __init__(self, stub: "decoder_pb2_grpc.DecoderServiceAsyncStub", ears: Ears, start: decoder_pb2.Start) -> None:
        self._stub = stub
        self._ears = ears
        self._start = start
        self._commands: asyncio.Queue[decoder_pb2.GenerateRequest | None] = asyncio.Queue()
        self._call: _Call | None = None
        self._own: _OwnStream | None = None
        self._cancelled = False

    async def events(self) -> AsyncGenerator[decoder_pb2.GenerateResponse, None]:
        """The decoder's events. Closing the generator cancels the work behind it. To be called once.

        Raises `ServiceError` with the decoder's own reason, DECODER_UNAVAILABLE where it could not be reached, or
        CANCELLED after `cancel`.
        """
        if self._cancelled:
            raise ServiceError(Reason.CANCELLED, _CANCELLED)
        running = context.current()
        with self._ears.text() as text:
            call = self._stub.Generate(
                self._sent(text), timeout=running.remaining_seconds(), metadata=running.metadata()
            )
            self._call = call
            own = self._own = _OwnStream(call, self._ears, text)
            try:
                while (event := await own.next()) is not None:
                    yield event
            finally:
                self._commands.put_nowait(None)  # gRPC reads on for as long as the iterator goes on
                call.cancel()
                await own.aclose()

    def cancel(self) -> None:
        """Ends the work behind `events`, from outside of the task that reads them."""
        self._cancelled = True
        if self._call is not None:
            self._call.cancel()
        if self._own is not None:
            self._own.cancel()

    def decide(self, decide: decoder_pb2.Decide) -> None:
        """Passes a person's word on a call on."""
        self._commands.put_nowait(decoder_pb2.GenerateRequest(decide=decide))

    async def _sent(self, text: Text) -> AsyncIterator[decoder_pb2.GenerateRequest]:
        listening = decoder_pb2.Listening(listeners=self._ears.names(), told_as=text.told_as)
        yield decoder_pb2.GenerateRequest(start=self._start, listening=listening)
        while (command := await self._commands.get()) is not None:
            yield command


class _OwnStream:
    """The completion's own stream, and between its events those that come by an ear. It is read one event ahead."""

    def __init__(self, call: _Call, ears: Ears, text: Text) -> None:
        self._call = call
        self._ears = ears
        self._text = text
        self._next = 1  # number of the event that is to come
        self._listener = ""
        self._ear: Ear | None = None  # of that name; it brings the text
        self._read_ahead: decoder_pb2.GenerateResponse | None = None
        self._is_cancelled = False
        self._has_begun = False  # the decoder has answered
        self._taken = asyncio.Event()
        self._reading = asyncio.create_task(self._read())
        self._reading.add_done_callback(lambda _: text.news.set())

    async def next(self) -> decoder_pb2.GenerateResponse | None:
        """The next event; None at the end. Raises ServiceError."""
        while (event := self._due()) is None:
            if self._is_cancelled:
                raise ServiceError(Reason.CANCELLED, _CANCELLED)
            if self._read_ahead is None and self._reading.done():
                self._end()
                return None
            if self._is_cut_off():
                raise _lost(_CUT_OFF, _CUT_OFF)
            await self._news()
        event.ClearField("number")
        return event

    def cancel(self) -> None:
        """Nobody wants more, from outside of the task that reads: what was read ahead may wait for text, and then
        nobody hears of the call's end."""
        self._is_cancelled = True
        self._text.news.set()

    async def aclose(self) -> None:
        """Ends the reading."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _news(self) -> None:
        """Waits for the next event of either stream. What was read ahead follows text that is on its way by the ear: it
        comes in a moment, or never."""
        self._text.news.clear()
        if self._read_ahead is None:
            await self._text.news.wait()
            return
        try:
            async with asyncio.timeout(_LATE_SECONDS):
                await self._text.news.wait()
        except TimeoutError:
            raise _lost(_CUT_OFF, _CUT_OFF) from None

    def _due(self) -> decoder_pb2.GenerateResponse | None:
        ahead = self._read_ahead
        if ahead is not None and ahead.number in (0, self._next):
            self._next += bool(ahead.number)
            self._read_ahead = None
            self._taken.set()
            return ahead
        if (heard := self._text.take(self._next)) is not None:
            event, self._next = heard
            return event
        return None

    def _is_cut_off(self) -> bool:
        """Whether text is missing that will not come any more."""
        if not self._listener:
            return False
        if self._ear is None or self._ear.is_cut:
            return True
        return self._read_ahead is not None and self._ear.is_lost

    def _end(self) -> None:
        if self._reading.cancelled():  # as is what waits for a call that was cancelled here
            raise ServiceError(Reason.CANCELLED, _CANCELLED)
        try:
            self._reading.result()
        except grpc.aio.AioRpcError as error:
            told = from_rpc_error(error, Reason.DECODER_UNAVAILABLE)
            if error.code() is not grpc.StatusCode.UNAVAILABLE or told.reason is not Reason.DECODER_UNAVAILABLE:
                raise told from error
            raise _lost(_LOST if self._has_begun else _UNREACHABLE, told.message) from error

    async def _read(self) -> None:
        while isinstance(response := await self._call.read(), decoder_pb2.GenerateResponse):
            self._has_begun = True
            if response.HasField("accepted"):
                self._accept(response.accepted)
                continue
            self._taken.clear()
            self._read_ahead = response
            self._text.news.set()
            await self._taken.wait()

    def _accept(self, accepted: decoder_pb2.Accepted) -> None:
        self._listener = accepted.listener
        self._ear = self._ears.find(accepted.listener)
        if not accepted.listener:
            self._ears.want(accepted.instance)
        self._text.news.set()


def _lost(words: str, cause: str) -> ServiceError:
    """What the transport says ("Stream removed") of a decoder that is gone helps operators: the log has it."""
    log.warning("decoder_lost", cause=cause)
    return ServiceError(Reason.DECODER_UNAVAILABLE, words)
