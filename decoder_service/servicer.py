"""The decoder's gRPC service."""

from collections.abc import AsyncIterator

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
    async def Generate(self, request: decoder_pb2.GenerateRequest) -> AsyncIterator[decoder_pb2.GenerateResponse]:
        """Decodes one completion."""
        events = Completion(self._decoder, parse(request)).events()
        try:
            async for event in events:
                self._metrics.observe(event)
                yield event
        finally:
            await events.aclose()  # type: ignore[attr-defined]

    @unary
    async def GetModel(self, request: decoder_pb2.GetModelRequest) -> decoder_pb2.GetModelResponse:
        """Describes the model."""
        return self._model
