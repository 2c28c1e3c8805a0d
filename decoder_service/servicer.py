"""The decoder's gRPC service."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

from decoder_service.completion import Completion, Decoder
from decoder_service.listeners import Listeners
from decoder_service.metrics import DecoderMetrics
from decoder_service.outbox import Outbox
from decoder_service.request import parse
from protos.conveyor.decoder.v1 import decoder_pb2, decoder_pb2_grpc
from protos.rpc.errors import Reason, reject
from protos.rpc.handler import streaming, unary


class DecoderServicer(decoder_pb2_grpc.DecoderServiceServicer):
    """Serves `conveyor.decoder.v1.DecoderService`."""

    def __init__(self, decoder: Decoder, model: decoder_pb2.GetModelResponse, metrics: DecoderMetrics) -> None:
        self._decoder = decoder
        self._model = model
        self._metrics = metrics
        self._listeners = Listeners()
        self._active = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @streaming
    async def Generate(
        self, requests: AsyncIterator[decoder_pb2.GenerateRequest]
    ) -> AsyncGenerator[decoder_pb2.GenerateResponse, None]:
        """Decodes one completion."""
        first = await anext(aiter(requests), None)
        if first is None or not first.HasField("start"):
            reject(Reason.PROTOCOL_VIOLATION, "the first command must be start")
        with self._counted():
            completion = Completion(self._decoder, parse(first.start), self._outbox(first))
            commands = asyncio.create_task(_obey(completion, requests))
            try:
                async with contextlib.aclosing(completion.events()) as events:
                    async for event in events:
                        self._metrics.observe(event)
                        yield event
            finally:
                commands.cancel()
                await asyncio.gather(commands, return_exceptions=True)

    @streaming
    async def Listen(self, request: decoder_pb2.ListenRequest) -> AsyncGenerator[decoder_pb2.ListenResponse, None]:
        """Brings text of many completions."""
        listener = self._listeners.open(request.listener)
        try:
            yield decoder_pb2.ListenResponse(instance=self._listeners.instance)
            async with contextlib.aclosing(listener.messages()) as messages:
                async for message in messages:
                    yield message
        finally:
            self._listeners.close(listener)

    @unary
    async def GetModel(self, request: decoder_pb2.GetModelRequest) -> decoder_pb2.GetModelResponse:
        """Describes the model."""
        return self._model

    async def drain(self) -> None:
        """Ends the streams of listeners, which never end of themselves, once no completion is left."""
        while self._active:
            await self._idle.wait()
        self._listeners.end()

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        self._active += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._active -= 1
            if not self._active:
                self._idle.set()

    def _outbox(self, request: decoder_pb2.GenerateRequest) -> Outbox:
        """Where the completion's events go. Who listens is told first which of its streams will bring the text."""
        if not request.HasField("listening"):
            return Outbox()
        listener = self._listeners.find(request.listening.listeners)
        outbox = Outbox(listener, request.listening.told_as)
        outbox.accept(self._listeners.instance)
        return outbox


async def _obey(completion: Completion, requests: AsyncIterator[decoder_pb2.GenerateRequest]) -> None:
    """Carries out the commands after `start`, until the caller has no more."""
    async for request in requests:
        if request.HasField("decide"):
            await completion.decide(request.decide)
