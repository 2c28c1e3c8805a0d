"""Peers that say nothing: those that are there are kept, those that are gone are noticed.

Times are scaled down; the same with the real ones is marked slow.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import grpc
import pytest
import structlog

from decoder_service.models.loader import LoadedModel
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.conveyor.gateway.v1 import gateway_pb2_grpc
from protos.rpc import channel
from protos.rpc.errors import Reason, from_rpc_error
from tests.integration.stack import running_stack
from tests.integration.tcp_proxy import GOAWAY, PING, TcpProxy
from tool_service.interface import tool

SCALE = 50
CALL = '<tool_call>\n{{"name": "rest", "arguments": {{"seconds": {seconds}}}}}\n</tool_call>'
LONG = "on and on " * 900


@tool(timeout=900)
async def rest(seconds: float) -> str:
    """Wait.

    Args:
        seconds: How long.
    """
    await asyncio.sleep(seconds)
    return "rested"


def resting(seconds: float) -> pb.CompleteRequest:
    return pb.CompleteRequest(
        messages=[pb.Message(role="user", content="Rest.")],
        tool_use=pb.ToolUse(format="hermes", tools=["rest"]),
        replay=[CALL.format(seconds=seconds), "Good."],
        limits=pb.Limits(max_tokens=200, max_turns=2),
    )


def saying(text: str) -> pb.CompleteRequest:
    return pb.CompleteRequest(
        messages=[pb.Message(role="user", content="Say it.")],
        replay=[text],
        limits=pb.Limits(max_tokens=4000, max_turns=1),
    )


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Peers are asked as often as gRPC allows, which is once a second, and answer late on a busy machine."""
    monkeypatch.setattr(channel, "KEEPALIVE_MS", channel.KEEPALIVE_MS // SCALE)
    monkeypatch.setattr(channel, "KEEPALIVE_TIMEOUT_MS", 3_000)


@contextlib.asynccontextmanager
async def silent(model: LoadedModel, seconds: float) -> AsyncIterator[tuple[TcpProxy, TcpProxy]]:
    """Client and gateway, gateway and decoder, while a tool rests; the client gets its answer."""
    async with contextlib.AsyncExitStack() as stack:
        proxies: list[TcpProxy] = []

        async def through(port: int) -> str:
            proxies.append(TcpProxy(port))
            return f"127.0.0.1:{await stack.enter_async_context(proxies[-1].listening())}"

        running = await stack.enter_async_context(running_stack(model, [rest], way_to_decoder=through))
        address = await through(int(running.grpc.rpartition(":")[2]))
        client = await stack.enter_async_context(channel.open_channel(address))
        events = [
            event
            async for event in gateway_pb2_grpc.GatewayServiceStub(client).Complete(
                resting(seconds), timeout=seconds + 60
            )
        ]
        assert events[-1].HasField("finished")
        assert [each.call_finished.result for each in events if each.HasField("call_finished")] == ["rested"]
        yield proxies[0], proxies[1]


async def test_a_silent_stream_is_kept_however_often_its_ends_ask_for_each_other(
    small_model: LoadedModel, hurried: None
) -> None:
    async with silent(small_model, seconds=4) as proxies:
        for proxy in proxies:
            assert proxy.connections == 1 and proxy.sent[PING] >= 2
            assert not proxy.answered[GOAWAY]


@pytest.mark.slow
@pytest.mark.timeout(800)
async def test_ten_silent_minutes_end_nothing(small_model: LoadedModel) -> None:
    async with silent(small_model, seconds=600) as proxies:
        for proxy in proxies:
            assert proxy.connections == 1 and proxy.sent[PING] >= 20
            assert not proxy.answered[GOAWAY]


async def test_a_decoder_that_vanished_is_noticed_and_what_it_had_begun_is_not_begun_again(
    small_model: LoadedModel, hurried: None
) -> None:
    """Two ways lead to one decoder. Who asks again gets an answer by the other one."""
    async with contextlib.AsyncExitStack() as stack:
        proxies: list[TcpProxy] = []

        async def through(port: int) -> str:
            proxies.extend((TcpProxy(port), TcpProxy(port)))
            ports = [await stack.enter_async_context(proxy.listening()) for proxy in proxies]
            return "ipv4:///" + ",".join(f"127.0.0.1:{port}" for port in ports)

        running = await stack.enter_async_context(running_stack(small_model, step_seconds=0.02, way_to_decoder=through))
        with structlog.testing.capture_logs() as lines:
            calls = [running.client.Complete(saying(LONG), timeout=60) for _ in range(4)]
            for call in calls:
                await _text(call)
            proxies[0].is_hole = True
            ends = [asyncio.create_task(_ended(call)) for call in calls]
            done, _ = await asyncio.wait(ends, timeout=50, return_when=asyncio.FIRST_COMPLETED)
            for end in done:
                error = await end
                assert error is not None
                told = from_rpc_error(error, Reason.INTERNAL)
                assert (error.code(), told.reason) == (grpc.StatusCode.UNAVAILABLE, Reason.DECODER_UNAVAILABLE)
            assert done  # those that went by the hole
            for call in calls:
                call.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
        assert len([line for line in lines if line["event"] == "began"]) == len(calls)
        for _ in range(4):
            assert (await running.complete(saying("Here."))).text == "Here."


async def test_a_decoder_that_never_answers_is_not_asked(small_model: LoadedModel, hurried: None) -> None:
    async with contextlib.AsyncExitStack() as stack:
        hole = TcpProxy(0)
        hole.is_hole = True

        async def beside(port: int) -> str:
            hole._target = port
            other = await stack.enter_async_context(hole.listening())
            return f"ipv4:///127.0.0.1:{other},127.0.0.1:{port}"

        running = await stack.enter_async_context(running_stack(small_model, way_to_decoder=beside))
        for _ in range(4):
            assert (await running.complete(saying("Here."))).text == "Here."
        assert hole.connections


async def _text(call: "grpc.aio.UnaryStreamCall[pb.CompleteRequest, pb.CompleteResponse]") -> None:
    while not (await call.read()).HasField("text_delta"):
        pass


async def _ended(
    call: "grpc.aio.UnaryStreamCall[pb.CompleteRequest, pb.CompleteResponse]",
) -> grpc.aio.AioRpcError | None:
    try:
        while isinstance(await call.read(), pb.CompleteResponse):
            pass
    except grpc.aio.AioRpcError as error:
        return error
    return None
