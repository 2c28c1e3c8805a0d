"""Calls the services. Whatever goes wrong comes out as a `Failure`."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import grpc

from gateway.cli.failure import REMEDIES, Failure, Peer, failure_of
from protos.conveyor.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from protos.conveyor.tool.v1 import tool_pb2, tool_pb2_grpc
from protos.rpc.channel import open_channel
from protos.rpc.context import RequestContext, new_request_id
from protos.rpc.errors import Reason

LIST_SECONDS = 10.0


@dataclass(slots=True)
class _Progress:
    """How far a call has come."""

    begun: bool = False
    ended: bool = False  # as it should


_ExecuteCall = grpc.aio.StreamStreamCall[tool_pb2.ExecuteRequest, tool_pb2.ExecuteResponse]


async def complete(
    peer: Peer, request: gateway_pb2.CompleteRequest, timeout_seconds: float | None = None
) -> AsyncGenerator[gateway_pb2.CompleteResponse, None]:
    """Events of a completion, up to and including `finished`. Closing the iterator cancels the completion."""
    context = RequestContext(new_request_id())
    async with open_channel(peer.address, peer.credentials.tls) as channel:
        stub = gateway_pb2_grpc.GatewayServiceStub(channel)
        call = stub.Complete(
            request, timeout=timeout_seconds, metadata=(*context.metadata(), *peer.credentials.metadata)
        )
        with _explained(call, peer, context.request_id) as progress:
            async for response in call:
                progress.begun = True
                progress.ended = response.HasField("finished")
                yield response
    if not progress.ended:
        raise Failure(
            f"the {peer.name} ended the completion without a last event", REMEDIES[Reason.INTERNAL], context.request_id
        )


async def execute(
    peer: Peer,
    start: tool_pb2.ExecuteRequest,
    turn: AsyncGenerator[tool_pb2.ExecuteRequest, None],
    request_id: str,
    timeout_seconds: float | None = None,
    *,
    approve: bool = False,
) -> AsyncGenerator[tool_pb2.ExecuteResponse, None]:
    """Events of one turn, the last one being `turn_finished`. `turn` has its commands, which are written as they come.

    A call that a person must allow is answered with `approve`. Closing the iterator stops the tools. What `turn` raises
    is raised here.
    """
    context = RequestContext(request_id)
    async with open_channel(peer.address, peer.credentials.tls) as channel:
        stub = tool_pb2_grpc.ToolServiceStub(channel)
        call = stub.Execute(timeout=timeout_seconds, metadata=context.metadata())
        with _explained(call, peer, request_id) as progress:
            await call.write(start)
            async with aclosing(_conversation(call, turn, progress, approve=approve)) as responses:
                async for response in responses:
                    yield response
    if not progress.ended:
        cause = f"the {peer.name} ended the stream before the turn's end"
        raise Failure(cause, REMEDIES[Reason.INTERNAL], request_id)


async def _conversation(
    call: _ExecuteCall, turn: AsyncGenerator[tool_pb2.ExecuteRequest, None], progress: _Progress, *, approve: bool
) -> AsyncGenerator[tool_pb2.ExecuteResponse, None]:
    """Reads a call to its end, and writes what is due in between."""
    writer = _Writer(call)
    async with AsyncExitStack() as stack:
        async for response in call:
            progress.begun = True
            yield response
            match response.WhichOneof("event"):
                case "started":  # not before: a write to a refused call hides the reason
                    await stack.enter_async_context(_written(writer, turn))
                case "approval_awaited":
                    await writer.decide(response.approval_awaited.call_id, approve)
                case "turn_finished":
                    progress.ended = True
                    await call.done_writing()


async def list_tools(peer: Peer, timeout_seconds: float) -> tool_pb2.ListToolsResponse:
    """The tools and formats of a tool service."""
    context = RequestContext(new_request_id())
    async with open_channel(peer.address, peer.credentials.tls) as channel:
        stub = tool_pb2_grpc.ToolServiceStub(channel)
        call = stub.ListTools(tool_pb2.ListToolsRequest(), timeout=timeout_seconds, metadata=context.metadata())
        with _explained(call, peer, context.request_id):
            return await call


class _Writer:
    """Writes commands to a call, one at a time, whoever has them."""

    def __init__(self, call: _ExecuteCall) -> None:
        self._call = call
        self._turn = asyncio.Lock()  # gRPC takes the next message only when the one before is on its way

    async def write(self, request: tool_pb2.ExecuteRequest) -> None:
        """Writes a command. That the call has failed already is not told here: reading it tells why."""
        async with self._turn:
            with suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):
                await self._call.write(request)

    async def decide(self, call_id: str, approved: bool) -> None:
        """Allows or refuses a call that waits for it."""
        decide = tool_pb2.Decide(call_id=call_id, approved=approved)
        await self.write(tool_pb2.ExecuteRequest(decide=decide))

    async def write_all(self, requests: AsyncGenerator[tool_pb2.ExecuteRequest, None]) -> None:
        """Writes commands as they come. Where making them fails, the call is cancelled."""
        try:
            async with aclosing(requests) as commands:
                async for request in commands:
                    await self.write(request)
        except Exception:
            self._call.cancel()
            raise


@asynccontextmanager
async def _written(writer: _Writer, requests: AsyncGenerator[tool_pb2.ExecuteRequest, None]) -> AsyncIterator[None]:
    """Writes `requests` in the background. The exit raises what making them raised."""
    writing = asyncio.create_task(writer.write_all(requests))
    try:
        yield
    finally:
        writing.cancel()
        (outcome,) = await asyncio.gather(writing, return_exceptions=True)
        if isinstance(outcome, Exception):
            raise outcome


@contextmanager
def _explained(call: grpc.aio.Call, peer: Peer, request_id: str) -> Iterator[_Progress]:
    """Turns a failed call into a `Failure`; cancels the call when its reader leaves early."""
    progress = _Progress()
    try:
        yield progress
    except grpc.aio.AioRpcError as error:
        raise failure_of(error, peer, request_id, begun=progress.begun) from error
    except asyncio.CancelledError:
        if _is_cancelled(asyncio.current_task()):
            raise
        # the status CANCELLED, sent by the peer, looks like a cancel of ours
        raise Failure(
            f"the {peer.name} cancelled the request", REMEDIES[Reason.CANCELLED], request_id, reason=Reason.CANCELLED
        ) from None
    finally:
        call.cancel()


def _is_cancelled(task: "asyncio.Task[Any] | None") -> bool:
    return task is not None and task.cancelling() > 0
