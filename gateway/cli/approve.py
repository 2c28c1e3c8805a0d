"""`conveyor approve`: a person's word on a call that waits for it."""

import json
from typing import Annotated

import grpc
import typer

from gateway.cli.credentials import Credentials, with_credentials
from gateway.cli.failure import Failure, Peer, failure_of
from gateway.cli.options import GATEWAY_ADDRESS, DebugOption, GatewayOption, JsonOption, reachable, utf8
from gateway.cli.run import run
from protos.conveyor.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from protos.rpc.channel import open_channel
from protos.rpc.context import RequestContext, new_request_id
from protos.rpc.errors import Reason

TIMEOUT_SECONDS = 10.0


@with_credentials
def approve(
    request_id: Annotated[
        str, typer.Argument(metavar="REQUEST_ID", callback=utf8, help="the completion, as `approval_awaited` names it")
    ],
    call_id: Annotated[str, typer.Argument(metavar="CALL_ID", callback=utf8, help="the call in it")],
    deny: Annotated[bool, typer.Option("--deny", help="refuse it instead")] = False,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", callback=utf8, help="why it is refused, for the model; needs --deny")
    ] = "",
    gateway: GatewayOption = GATEWAY_ADDRESS,
    as_json: JsonOption = False,
    debug: DebugOption = False,
    *,
    credentials: Credentials,
) -> None:
    """Allow or refuse a call that waits for a person."""
    if reason and not deny:
        raise typer.BadParameter("--reason needs --deny")
    word = gateway_pb2.ApproveRequest(request_id=request_id, call_id=call_id, approved=not deny, reason=reason)
    peer = Peer("gateway", reachable(gateway), "--gateway", credentials)
    run(_approve(peer, word, as_json), debug=debug, as_json=as_json)


async def send_word(peer: Peer, word: gateway_pb2.ApproveRequest) -> None:
    """Sends a person's word to the gateway that has the completion. Raises Failure."""
    context = RequestContext(new_request_id())
    async with open_channel(peer.address, peer.credentials.tls) as channel:
        stub = gateway_pb2_grpc.GatewayServiceStub(channel)
        try:
            metadata = (*context.metadata(), *peer.credentials.metadata)
            await stub.Approve(word, timeout=TIMEOUT_SECONDS, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise _explained(failure_of(error, peer, context.request_id)) from error


def _explained(failure: Failure) -> Failure:
    if failure.reason == Reason.INVALID_LIMIT:  # of a completion's limits the remedy speaks otherwise
        failure.remedy = "Shorten --reason."
    return failure


async def _approve(peer: Peer, word: gateway_pb2.ApproveRequest, as_json: bool) -> int:
    await send_word(peer, word)
    if as_json:
        print(json.dumps({"request_id": word.request_id, "call_id": word.call_id, "approved": word.approved}))
    else:
        print("allowed" if word.approved else "refused")
    return 0
