"""Calls the services. Whatever goes wrong comes out as a `Failure`."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
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
    peer: Peer, requests: list[tool_pb2.ExecuteRequest], request_id: str, timeout_seconds: float | None = None
) -> AsyncGenerator[tool_pb2.ExecuteResponse, None]:
    """Events of one turn, the last one being `turn_finished`. `requests` are its commands, `start` first.

    Closing the iterator stops the tools.
    """
    context = RequestContext(request_id)
    ended = False
    async with open_channel(peer.address) as channel:
        stub = tool_pb2_grpc.ToolServiceStub(channel)
        call = stub.Execute(timeout=timeout_seconds, metadata=context.metadata())
        with _explained(call, peer, context.request_id) as progress:
            start, *turn = requests
            await call.write(start)
            async for response in call:
                progress.begun = True
                yield response
                if response.HasField("started"):  # not before: a write to a call that was refused hides the reason
                    await _write_all(call, turn)
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


async def _write_all(call: _ExecuteCall, requests: list[tool_pb2.ExecuteRequest]) -> None:
    with suppress(asyncio.InvalidStateError):  # the call has failed already; reading it tells why
        for request in requests:
            await call.write(request)


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
