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


@dataclass(slots=True)
class _Progress:
    """How far a call has come."""

    begun: bool = False


_ExecuteCall = grpc.aio.StreamStreamCall[tool_pb2.ExecuteRequest, tool_pb2.ExecuteResponse]


async def complete(
    peer: Peer, request: gateway_pb2.CompleteRequest, timeout_seconds: float | None = None
) -> AsyncGenerator[gateway_pb2.CompleteResponse, None]:
    """Events of a completion, up to and including `finished`. Closing the iterator cancels the completion."""
    context = RequestContext(new_request_id())
    finished = False
    async with open_channel(peer.address) as channel:
        stub = gateway_pb2_grpc.GatewayServiceStub(channel)
        call = stub.Complete(request, timeout=timeout_seconds, metadata=context.metadata())
        with _explained(call, peer, context.request_id) as progress:
            async for response in call:
                progress.begun = True
                finished = response.HasField("finished")
                yield response
    if not finished:
        raise Failure(
            f"the {peer.name} ended the completion without a last event", REMEDIES[Reason.INTERNAL], context.request_id
        )


async def execute(
    peer: Peer,
    start: tool_pb2.ExecuteRequest,
    turn: AsyncGenerator[tool_pb2.ExecuteRequest, None],
    request_id: str,
    timeout_seconds: float | None = None,
) -> AsyncGenerator[tool_pb2.ExecuteResponse, None]:
    """Events of one turn, the last one being `turn_finished`. `turn` has its commands, which are written as they come.

    Closing the iterator stops the tools. What `turn` raises is raised here.
    """
    context = RequestContext(request_id)
    ended = False
    async with open_channel(peer.address) as channel:
        stub = tool_pb2_grpc.ToolServiceStub(channel)
        call = stub.Execute(timeout=timeout_seconds, metadata=context.metadata())
        with _explained(call, peer, context.request_id) as progress:
            await call.write(start)
            async with AsyncExitStack() as stack:
                async for response in call:
                    progress.begun = True
                    yield response
                    if response.HasField("started"):  # not before: a write to a refused call hides the reason
                        await stack.enter_async_context(_written(call, turn))
                    if response.HasField("turn_finished"):
                        ended = True
                        await call.done_writing()
    if not ended:
        cause = f"the {peer.name} ended the stream before the turn's end"
        raise Failure(cause, REMEDIES[Reason.INTERNAL], context.request_id)


async def list_tools(peer: Peer, timeout_seconds: float) -> tool_pb2.ListToolsResponse:
    """The tools and formats of a tool service."""
    context = RequestContext(new_request_id())
    async with open_channel(peer.address) as channel:
        stub = tool_pb2_grpc.ToolServiceStub(channel)
        call = stub.ListTools(tool_pb2.ListToolsRequest(), timeout=timeout_seconds, metadata=context.metadata())
        with _explained(call, peer, context.request_id):
            return await call


@asynccontextmanager
async def _written(call: _ExecuteCall, requests: AsyncGenerator[tool_pb2.ExecuteRequest, None]) -> AsyncIterator[None]:
    """Writes `requests` in the background. Where making them fails, the call is cancelled and the exit raises why."""
    writing = asyncio.create_task(_write_all(call, requests))
    try:
        yield
    finally:
        writing.cancel()
        (outcome,) = await asyncio.gather(writing, return_exceptions=True)
        if isinstance(outcome, Exception):
            raise outcome


async def _write_all(call: _ExecuteCall, requests: AsyncGenerator[tool_pb2.ExecuteRequest, None]) -> None:
    try:
        async with aclosing(requests) as commands:
            async for request in commands:
                # The call has failed already; reading it tells why.
                with suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):
                    await call.write(request)
    except Exception:
        call.cancel()  # nothing more would be heard of it
        raise


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
