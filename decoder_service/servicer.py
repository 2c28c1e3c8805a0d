"""The decoder's gRPC service."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

from decoder_service.completion import Completion, Decoder
from decoder_service.metrics import DecoderMetrics
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

    @streaming
    async def Generate(
        self, requests: AsyncIterator[decoder_pb2.GenerateRequest]
    ) -> AsyncGenerator[decoder_pb2.GenerateResponse, None]:
        """Decodes one completion."""
        first = await anext(aiter(requests), None)
        if first is None or not first.HasField("start"):
            reject(Reason.PROTOCOL_VIOLATION, "the first command must be start")
        completion = Completion(self._decoder, parse(first.start))
        commands = asyncio.create_task(_obey(completion, requests))
        try:
            async with contextlib.aclosing(completion.events()) as events:
                async for event in events:
                    self._metrics.observe(event)
                    yield event
        finally:
            commands.cancel()
            await asyncio.gather(commands, return_exceptions=True)

    @unary
    async def GetModel(self, request: decoder_pb2.GetModelRequest) -> decoder_pb2.GetModelResponse:
        """Describes the model."""
        return self._model


async def _obey(completion: Completion, requests: AsyncIterator[decoder_pb2.GenerateRequest]) -> None:
    """Carries out the commands after `start`, until the caller has no more."""
    async for request in requests:
        if request.HasField("decide"):
            await completion.decide(request.decide)
