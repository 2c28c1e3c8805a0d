"""The client of the decoder."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import grpc

from protos.conveyor.decoder.v1 import decoder_pb2, decoder_pb2_grpc
from protos.rpc import context
from protos.rpc.errors import Reason, ServiceError, from_rpc_error

_CANCELLED = "The completion was cancelled."


class Generation:
    """A completion on its way through the decoder behind `stub`, in the name and within the deadline of the running
    request."""

    def __init__(self, stub: "decoder_pb2_grpc.DecoderServiceAsyncStub", start: decoder_pb2.Start) -> None:
        self._stub = stub
        self._commands: asyncio.Queue[decoder_pb2.GenerateRequest | None] = asyncio.Queue()
        self._commands.put_nowait(decoder_pb2.GenerateRequest(start=start))
        self._call: grpc.aio.Call | None = None
        self._cancelled = False

    async def events(self) -> AsyncGenerator[decoder_pb2.GenerateResponse, None]:
        """The decoder's events. Closing the generator cancels the work behind it. To be called once.

        Raises `ServiceError` with the decoder's own reason, DECODER_UNAVAILABLE where it could not be reached, or
        CANCELLED after `cancel`.
        """
        if self._cancelled:
            raise ServiceError(Reason.CANCELLED, _CANCELLED)
        running = context.current()
        call = self._stub.Generate(self._sent(), timeout=running.remaining_seconds(), metadata=running.metadata())
        self._call = call
        try:
            async for response in call:
                yield response
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, Reason.DECODER_UNAVAILABLE) from error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._cancelled or (task is not None and task.cancelling()):
                raise
            raise ServiceError(Reason.CANCELLED, _CANCELLED) from None
        finally:
            self._commands.put_nowait(None)  # gRPC reads on for as long as the iterator goes on
            call.cancel()

    def cancel(self) -> None:
        """Ends the work behind `events`, from outside of the task that reads them."""
        self._cancelled = True
        if self._call is not None:
            self._call.cancel()

    def decide(self, decide: decoder_pb2.Decide) -> None:
        """Passes a person's word on a call on."""
        self._commands.put_nowait(decoder_pb2.GenerateRequest(decide=decide))

    async def _sent(self) -> AsyncIterator[decoder_pb2.GenerateRequest]:
        while (command := await self._commands.get()) is not None:
            yield command
