"""The decoder's gRPC service."""

import contextlib
from collections.abc import AsyncGenerator

from decoder_service.completion import Completion, Decoder
from decoder_service.metrics import DecoderMetrics
from decoder_service.request import parse
from protos.conveyor.decoder.v1 import decoder_pb2, decoder_pb2_grpc
from protos.rpc.handler import streaming, unary


class DecoderServicer(decoder_pb2_grpc.DecoderServiceServicer):
    """Serves `conveyor.decoder.v1.DecoderService`."""

    def __init__(self, decoder: Decoder, model: decoder_pb2.GetModelResponse, metrics: DecoderMetrics) -> None:
        self._decoder = decoder
        self._model = model
        self._metrics = metrics

    @streaming
    async def Generate(
        self, request: decoder_pb2.GenerateRequest
    ) -> AsyncGenerator[decoder_pb2.GenerateResponse, None]:
        """Decodes one completion."""
        async with contextlib.aclosing(Completion(self._decoder, parse(request)).events()) as events:
            async for event in events:
                self._metrics.observe(event)
                yield event

    @unary
    async def GetModel(self, request: decoder_pb2.GetModelRequest) -> decoder_pb2.GetModelResponse:
        """Describes the model."""
        return self._model
