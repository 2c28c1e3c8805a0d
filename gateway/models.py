"""Which model is served, by the decoder's own word."""

import time

import grpc

from protos.conveyor.decoder.v1 import decoder_pb2, decoder_pb2_grpc
from protos.rpc import context
from protos.rpc.errors import Reason, ServiceError, from_rpc_error

_ANSWER_SECONDS = 2.0
_FRESH_SECONDS = 30.0  # a decoder that was started anew may serve another


class ServedModel:
    """The model of the decoder behind `stub`."""

    def __init__(self, stub: "decoder_pb2_grpc.DecoderServiceAsyncStub") -> None:
        self._stub = stub
        self._name = ""
        self._asked_at = 0.0
        self._untold_at = -_FRESH_SECONDS

    async def name(self) -> str:
        """Its name. Raises `ServiceError` DECODER_UNAVAILABLE where none has been told yet."""
        if not self._name or time.monotonic() - self._asked_at > _FRESH_SECONDS:
            try:
                model = await self._stub.GetModel(
                    decoder_pb2.GetModelRequest(), timeout=_ANSWER_SECONDS, metadata=context.current().metadata()
                )
                self._name = model.name
            except grpc.aio.AioRpcError as error:
                if not self._name:
                    raise from_rpc_error(error, Reason.DECODER_UNAVAILABLE) from error
            self._asked_at = time.monotonic()
        return self._name

    async def name_if_told(self) -> str:
        """Its name; empty where none has been told yet. Who did not answer is not asked again for a while."""
        if time.monotonic() - self._untold_at < _FRESH_SECONDS:
            return self._name
        try:
            return await self.name()
        except ServiceError:
            self._untold_at = time.monotonic()
            return ""
