"""A client that does not read: what waits for it is bounded, and others go on."""

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator

import grpc
import pytest

from decoder_service.models.loader import LoadedModel
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.conveyor.gateway.v1 import gateway_pb2_grpc
from protos.rpc.channel import MESSAGE_BYTES
from tests.integration.stack import running_stack
from tool_service.interface import Artifact, tool

pytestmark = pytest.mark.timeout(240)

PICTURES, PICTURE_BYTES = 16, 2 << 20
MOST_WAITING = 8 << 20
CALL = '<tool_call>\n{"name": "draw", "arguments": {"note": "x"}}\n</tool_call>'
SUM = '<tool_call>\n{"name": "calculator", "arguments": {"expression": "6 * 7"}}\n</tool_call>'
made = 0


@tool(timeout=60)
async def draw(note: str) -> AsyncIterator[Artifact]:
    """Draw many pictures.

    Args:
        note: Anything.
    """
    global made
    for number in range(PICTURES):
        made += 1
        yield Artifact(f"{number}.png", "image/png", bytes([number]) * PICTURE_BYTES)


def request(name: str, replay: str) -> pb.CompleteRequest:
    return pb.CompleteRequest(
        messages=[pb.Message(role="user", content="Draw.")],
        tool_use=pb.ToolUse(format="hermes", tools=[name]),
        replay=[replay],
        limits=pb.Limits(max_tokens=200, max_turns=1),
    )


async def test_a_tool_waits_for_a_client_that_does_not_read_others_do_not_and_in_the_end_all_is_there(
    small_model: LoadedModel,
) -> None:
    global made
    made = 0
    async with running_stack(small_model, [draw]) as stack:
        options = [("grpc.max_receive_message_length", MESSAGE_BYTES)]
        async with grpc.aio.insecure_channel(stack.grpc, options=options) as channel:
            call = gateway_pb2_grpc.GatewayServiceStub(channel).Complete(request("draw", CALL), timeout=120)
            async with asyncio.timeout(60):
                while not made:  # noqa: ASYNC110 - the tool counts
                    await asyncio.sleep(0.005)
                for _ in range(8):
                    answer = await stack.complete(request("calculator", SUM))
                    assert [each.result for each in answer.calls] == ["42"]
            waiting = made * PICTURE_BYTES
            drawn = [event.call_artifact async for event in call if event.HasField("call_artifact")]
    # In each of three services, and what the system holds of three connections.
    assert waiting <= 3 * MOST_WAITING < PICTURES * PICTURE_BYTES
    assert [each.data[:1] + each.data[-1:] for each in drawn] == [bytes([n, n]) for n in range(PICTURES)]
    assert [each.name for each in drawn] == [f"{n}.png" for n in range(PICTURES)]


async def test_text_that_waits_is_put_together_and_nothing_of_it_is_lost(small_model: LoadedModel) -> None:
    said = " ".join(itertools.islice(itertools.cycle(["river", "bridge", "letter", "boat"]), 300))
    plain = pb.CompleteRequest(
        messages=[pb.Message(role="user", content="Go on.")],
        replay=[said],
        limits=pb.Limits(max_tokens=900, max_turns=1),
    )
    async with running_stack(small_model) as stack:
        await stack.complete(request("calculator", SUM))  # from now on text comes by a listener, or soon
        answers = await asyncio.gather(*(stack.complete(plain) for _ in range(2)))
    for answer in answers:
        assert answer.text == said
        assert len([token for each in answer.of("text_delta") for token in each.text_delta.token_ids]) == (
            answer.finished.usage.completion_tokens
        )


async def test_a_connection_of_a_client_that_takes_nothing_is_cut(
    small_model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.http.STALLED_MS", 1000)
    async with running_stack(small_model, [draw]) as stack:
        metadata = (("x-request-id", "drawn"),)
        assert [event async for event in stack.client.Complete(request("draw", CALL), metadata=metadata, timeout=60)]
        connections = stack.gateway._http._server.server_state.connections
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect(("127.0.0.1", stack.gateway.http_port))
            slow.sendall(b"GET /v1/completions/drawn/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            async with asyncio.timeout(30):
                while not connections:  # noqa: ASYNC110 - the server keeps the set
                    await asyncio.sleep(0.005)
                while connections:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
