"""The client of the decoder."""

from collections.abc import AsyncGenerator

import grpc

from protos.conveyor.decoder.v1 import decoder_pb2, decoder_pb2_grpc
from protos.rpc import context
from protos.rpc.errors import Reason, from_rpc_error


class DecoderClient:
    """Speaks to the decoder behind `channel`, in the name and within the deadline of the running request."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = decoder_pb2_grpc.DecoderServiceStub(channel)

    async def generate(
        self, request: decoder_pb2.GenerateRequest
    ) -> AsyncGenerator[decoder_pb2.GenerateResponse, None]:
        """The decoder's events. Closing the generator cancels the work behind it.

        Raises `ServiceError` with the decoder's own reason, or DECODER_UNAVAILABLE where it could not be reached.
        """
        running = context.current()
        call = self._stub.Generate(request, timeout=running.remaining_seconds(), metadata=running.metadata())
        try:
            async for response in call:
                yield response
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, Reason.DECODER_UNAVAILABLE) from error
        finally:
            call.cancel()
