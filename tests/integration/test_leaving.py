"""Who leaves, or has no more time, frees all that works for him."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import httpx
import pytest
import structlog

from decoder_service.models.loader import LoadedModel
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.rpc import context
from protos.rpc.errors import Reason, from_rpc_error
from tests.integration.stack import Stack, running_stack
from tool_service.interface import Tool, tool

pytestmark = pytest.mark.timeout(240)

CALL = '<tool_call>\n{"name": "idle", "arguments": {"note": "x"}}\n</tool_call>'
PROMPT = "Do nothing."


class Idle:
    """A tool that does nothing until it is stopped, and what became of it."""

    def __init__(self) -> None:
        self.running, self.stopped = asyncio.Event(), asyncio.Event()
        self.remaining: float | None = None

    def tool(self) -> Tool:
        @tool(timeout=100)
        async def idle(note: str) -> str:
            """Do nothing.

            Args:
                note: Anything.
            """
            self.remaining = context.current().remaining_seconds()
            self.running.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.stopped.set()
            return note

        return idle


@pytest.fixture
def idle() -> Idle:
    return Idle()


@pytest.fixture
async def stack(small_model: LoadedModel, idle: Idle) -> AsyncIterator[Stack]:
    async with running_stack(small_model, [idle.tool()]) as running:
        yield running


async def until_idle(stack: Stack) -> None:
    async with asyncio.timeout(20):
        while any(stack.decoder.engine.counts().values()):  # noqa: ASYNC110 - the engine tells it by its reports
            await asyncio.sleep(0.002)


def request() -> pb.CompleteRequest:
    return pb.CompleteRequest(
        messages=[pb.Message(role="user", content=PROMPT)],
        tool_use=pb.ToolUse(format="hermes", tools=["idle"], mode=pb.MODE_PARTIAL),
        replay=[CALL],
        limits=pb.Limits(max_tokens=200, max_turns=2),
    )


def body(**fields: Any) -> dict[str, Any]:
    said = {"messages": [{"role": "user", "content": PROMPT}]} if "input" not in fields else {}
    vendor = {"replay": [CALL], "max_turns": 2}
    return {"model": "m", "tools": [{"type": "conveyor", "name": "idle"}], "conveyor": vendor, **said, **fields}


async def by_grpc(stack: Stack, idle: Idle) -> None:
    call = stack.client.Complete(request(), timeout=60)
    while (await call.read()).WhichOneof("event") != "turn_decoded":
        pass
    await idle.running.wait()
    call.cancel()
    assert await call.code() is grpc.StatusCode.CANCELLED


def by_http(path: str, **fields: Any) -> Callable[[Stack, Idle], Awaitable[None]]:
    async def leave(stack: Stack, idle: Idle) -> None:
        async with httpx.AsyncClient(base_url=stack.http, timeout=60) as http:
            asking = asyncio.create_task(http.post(path, json=body(**fields)))
            await idle.running.wait()
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    return leave


WAYS = {
    "gRPC": by_grpc,
    "chat, streamed": by_http("/v1/chat/completions", stream=True),
    "chat, whole": by_http("/v1/chat/completions"),
    "response, streamed": by_http("/v1/responses", stream=True, input=PROMPT),
    "response, whole": by_http("/v1/responses", input=PROMPT),
}


async def test_who_leaves_frees_the_sequence_and_stops_the_tools_and_that_is_no_error(stack: Stack, idle: Idle) -> None:
    for way, leave in WAYS.items():
        idle.running.clear()
        idle.stopped.clear()
        with structlog.testing.capture_logs() as lines:
            async with asyncio.timeout(30):
                await leave(stack, idle)
                await idle.stopped.wait()
                await until_idle(stack)
        assert not [line for line in lines if line["log_level"] in ("warning", "error", "critical")], way
    metrics = await _metrics(stack)
    assert f'conveyor_requests_total{{outcome="CANCELLED"}} {len(WAYS):.1f}' in metrics
    assert "conveyor_requests_running 0.0" in metrics


async def _metrics(stack: Stack) -> str:
    async with httpx.AsyncClient(base_url=stack.http) as http:
        return (await http.get("/metrics")).text


async def test_a_deadline_ends_tools_and_sequence_and_each_service_was_told_what_was_left(
    stack: Stack, idle: Idle
) -> None:
    began = time.monotonic()
    call = stack.client.Complete(request(), timeout=4)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        async for _ in call:
            pass
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - began >= 4
    assert idle.remaining is not None and 0 < idle.remaining < 4
    await asyncio.wait_for(idle.stopped.wait(), 20)
    await until_idle(stack)


async def test_what_is_too_large_is_refused_and_the_connection_goes_on(stack: Stack) -> None:
    said = pb.CompleteRequest(
        messages=[pb.Message(role="user", content="Hello.")], replay=["Hi."], limits=pb.Limits(max_turns=1)
    )
    large = pb.CompleteRequest(messages=[pb.Message(role="user", content="x" * 9_000_000)])
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stack.complete(large)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await stack.complete(said)).text == "Hi."
    async with httpx.AsyncClient(base_url=stack.http, timeout=60) as http:
        for path in ("/v1/chat/completions", "/v1/responses", "/v1/completions"):
            refused = await http.post(path, content=b'"' + b"x" * 9_000_000 + b'"')
            assert (refused.status_code, refused.json()["error"]["code"]) == (413, "too_large")
            assert (await http.get("/v1/models")).status_code == 200


@pytest.fixture
async def small_stack(small_model: LoadedModel, idle: Idle) -> AsyncIterator[Stack]:
    async with running_stack(small_model, [idle.tool()], max_running=2, max_waiting=2) as running:
        yield running


async def test_four_times_what_fits_is_refused_at_once_with_a_hint_and_the_admitted_go_on(small_stack: Stack) -> None:
    """Those who are admitted wait for a tool, so whoever is told anything meanwhile is told at once."""
    stub = small_stack.client
    calls = [stub.Complete(request(), timeout=60) for _ in range(16)]
    ends = [asyncio.create_task(_end(call)) for call in calls]
    refused = 0
    async with asyncio.timeout(30):
        for end in asyncio.as_completed(ends):
            error = await end
            assert error is not None
            told = from_rpc_error(error, Reason.INTERNAL)
            assert (error.code(), told.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, Reason.OVERLOADED)
            assert told.retry_seconds is not None and told.retry_seconds > 0
            refused += 1
            if refused == 12:
                break
    async with httpx.AsyncClient(base_url=small_stack.http, timeout=60) as http:
        for fields in ({"stream": True}, {"stream": False}):
            answer = await http.post("/v1/chat/completions", json=body(**fields))
            assert (answer.status_code, answer.json()["error"]["code"]) == (429, "overloaded")
            assert int(answer.headers["retry-after"]) >= 1
    assert sum(not end.done() for end in ends) == 4
    for call in calls:
        call.cancel()
    await asyncio.gather(*ends, return_exceptions=True)
    await until_idle(small_stack)


async def _end(
    call: "grpc.aio.UnaryStreamCall[pb.CompleteRequest, pb.CompleteResponse]",
) -> grpc.aio.AioRpcError | None:
    try:
        async for _ in call:
            pass
    except grpc.aio.AioRpcError as error:
        return error
    return None
