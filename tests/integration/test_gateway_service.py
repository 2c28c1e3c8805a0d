"""The gateway over real gRPC on loopback, between a client and two test peers that speak the contract."""

import asyncio
import json
import signal
import socket
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import grpc
import pytest
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.service import Gateway
from gateway.settings import GatewaySettings
from gateway.wire import duration, seconds
from protos.conveyor.decoder.v1 import decoder_pb2, decoder_pb2_grpc
from protos.conveyor.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from protos.conveyor.tool.v1 import tool_pb2, tool_pb2_grpc
from protos.rpc.errors import Reason, ServiceError, from_rpc_error, request_id_of, to_status
from protos.rpc.server import Server

SOON = 10.0
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SECRET = "a prompt that no log may hold"


def at(when, **event):
    return decoder_pb2.GenerateResponse(at=duration(when), **event)


def call_finished(busy):
    return decoder_pb2.CallFinished(call_id="c", result=SECRET, arguments_json="{}", busy=duration(busy))


TURN = [
    at(0.0, turn_started=decoder_pb2.TurnStarted()),
    at(0.5, text_delta=decoder_pb2.TextDelta(text="search('a')", token_ids=[1, 2])),
    at(0.5, call_opened=decoder_pb2.CallOpened(call_id="c", name="search", text_offset=7)),
    at(0.5, arguments_delta=decoder_pb2.ArgumentsDelta(call_id="c", argument="x", value_json="1")),
    at(0.5, call_started=decoder_pb2.CallStarted(call_id="c")),
    at(1.0, text_delta=decoder_pb2.TextDelta(text=" more")),
    at(1.0, turn_decoded=decoder_pb2.TurnDecoded(finish_reason=1)),
    at(1.2, unit_finished=decoder_pb2.UnitFinished(call_id="c", label="q", text_offset=11, busy=duration(0.6))),
    at(1.2, call_output=decoder_pb2.CallOutput(call_id="c", text="out")),
    at(1.2, call_finished=call_finished(0.6)),
    at(1.2, turn_finished=decoder_pb2.TurnFinished(call_count=1)),
]
FINISHED = at(
    1.3,
    finished=decoder_pb2.Finished(
        finish_reason=1, usage=decoder_pb2.Usage(prompt_tokens=5, cached_tokens=2, completion_tokens=7)
    ),
)


@dataclass
class FakeDecoder(decoder_pb2_grpc.DecoderServiceServicer):
    """Sends `script`, then waits for ever where `hangs`, or fails with `error`."""

    script: list[decoder_pb2.GenerateResponse] = field(default_factory=lambda: [*TURN, FINISHED])
    hangs: bool = False
    error: ServiceError | None = None
    requests: list[decoder_pb2.Start] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    remaining: float | None = None
    running: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: bool = False

    async def Generate(self, requests, context):
        self.requests.append((await anext(aiter(requests))).start)
        self.metadata = dict(context.invocation_metadata())
        self.remaining = context.time_remaining()
        self.running.set()
        try:
            for response in self.script:
                yield response
            if self.hangs:
                await self.release.wait()
                yield FINISHED
            if self.error:
                await context.abort_with_status(to_status(self.error, "elsewhere"))
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled = True
            raise
        finally:
            self.ended.set()

    async def GetModel(self, request, context):
        return decoder_pb2.GetModelResponse()


@dataclass
class FakeTools(tool_pb2_grpc.ToolServiceServicer):
    """Lists `tools`; counts how often it was asked."""

    tools: list[str] = field(default_factory=lambda: ["python", "search"])
    asked: int = 0

    async def ListTools(self, request, context):
        self.asked += 1
        return tool_pb2.ListToolsResponse(
            tools=[tool_pb2.Tool(name=name, effect=tool_pb2.EFFECT_READ, timeout=duration(3)) for name in self.tools],
            formats=[tool_pb2.Format(name="code_block", only_tool="python"), tool_pb2.Format(name="hermes")],
        )

    async def Execute(self, requests, context):
        yield tool_pb2.ExecuteResponse()


async def serve_decoder(decoder, address="127.0.0.1:0"):
    server = Server(address, lambda s: decoder_pb2_grpc.add_DecoderServiceServicer_to_server(decoder, s), ())
    await server.start()
    await server.ready()
    return server


async def serve_tools(tools, address="127.0.0.1:0"):
    server = Server(address, lambda s: tool_pb2_grpc.add_ToolServiceServicer_to_server(tools, s), ())
    await server.start()
    await server.ready()
    return server


@dataclass
class House:
    """A running gateway, its peers, and a client's stubs."""

    gateway: Gateway
    decoder: FakeDecoder
    decoder_server: Server
    tools: FakeTools
    tools_server: Server
    stub: gateway_pb2_grpc.GatewayServiceStub
    health: health_pb2_grpc.HealthStub

    def complete(self, timeout=None, metadata=None, **fields):
        fields.setdefault("messages", [gateway_pb2.Message(role="user", content=SECRET)])
        return self.stub.Complete(gateway_pb2.CompleteRequest(**fields), timeout=timeout, metadata=metadata)

    async def serving(self, wanted):
        """Returns once health is as wanted."""
        call = self.health.Watch(health_pb2.HealthCheckRequest())
        async with asyncio.timeout(SOON):
            async for answer in call:
                if (answer.status == health_pb2.HealthCheckResponse.SERVING) == wanted:
                    break
        call.cancel()


@asynccontextmanager
async def house(decoder=None, tools=None, *, wait=True, **settings):
    decoder, tools = decoder or FakeDecoder(), tools or FakeTools()
    async with AsyncExitStack() as stack:
        decoder_server = await serve_decoder(decoder)
        stack.push_async_callback(decoder_server.stop, 0)
        tools_server = await serve_tools(tools)
        stack.push_async_callback(tools_server.stop, 0)
        peers = {
            "decoder_address": f"127.0.0.1:{decoder_server.port}",
            "tools_address": f"127.0.0.1:{tools_server.port}",
        }
        gateway = Gateway(GatewaySettings(address="127.0.0.1:0", http_address="127.0.0.1:0", **(peers | settings)))
        await gateway.start()
        stack.push_async_callback(gateway.stop, 0)
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}"))
        stub, health = gateway_pb2_grpc.GatewayServiceStub(channel), health_pb2_grpc.HealthStub(channel)
        running = House(gateway, decoder, decoder_server, tools, tools_server, stub, health)
        if wait:
            await running.serving(True)
        yield running


async def responses_of(call):
    async with asyncio.timeout(SOON):
        return [response async for response in call]


async def failure_of(call):
    """The status of a call that fails, and its reason."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await responses_of(call)
    return raised.value, from_rpc_error(raised.value, Reason.INTERNAL)


def use(*tools, form="hermes", **fields):
    return gateway_pb2.ToolUse(format=form, tools=tools, **fields)


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


async def fetch(port, path):
    """Status and body of an HTTP GET."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split()[1]), body


async def metric(running, name):
    _, body = await fetch(running.gateway.http_port, "/metrics")
    return next((float(line.rpartition(" ")[2]) for line in body.splitlines() if line.startswith(f"{name} ")), None)


async def test_passes_the_decoders_events_on_and_closes_the_ledger():
    async with house() as running:
        began = time.monotonic()
        *events, last = await responses_of(running.complete(tool_use=use("search")))
        took = time.monotonic() - began
    assert [str(event) for event in events] == [str(event) for event in TURN]
    finished, ledger = last.finished, last.finished.ledger
    assert finished.request_id
    assert finished.finish_reason == gateway_pb2.FINISH_REASON_STOP
    assert finished.usage == gateway_pb2.Usage(prompt_tokens=5, cached_tokens=2, completion_tokens=7)
    assert 0 < seconds(last.at) == seconds(ledger.completion) <= took
    assert (seconds(ledger.decode), seconds(ledger.tool)) == (1.0, 0.6)
    assert seconds(ledger.hidden) == pytest.approx(0.4)
    assert seconds(ledger.serial) == pytest.approx(seconds(ledger.completion) + 0.4)


async def test_asks_the_decoder_for_what_the_client_asked():
    asked = gateway_pb2.CompleteRequest(
        messages=[gateway_pb2.Message(role="system", content="s"), gateway_pb2.Message(role="user", content="u")],
        tool_use=use("search", mode=gateway_pb2.MODE_SERIAL, choice="auto", stream_arguments=True),
        sampling=gateway_pb2.Sampling(temperature=0.5, top_p=0.5, top_k=2, seed=0),
        limits=gateway_pb2.Limits(max_tokens=3, max_turns=2, stop=["x"]),
        replay=["said"],
    )
    async with house() as running:
        await responses_of(running.stub.Complete(asked))
    assert str(running.decoder.requests[0]) == str(asked)


async def test_carries_request_id_and_trace_and_deadline():
    async with house() as running:
        metadata = (("x-request-id", "req-1"), ("traceparent", TRACE))
        *_, last = await responses_of(running.complete(timeout=30, metadata=metadata))
    assert last.finished.request_id == "req-1"
    assert running.decoder.metadata["x-request-id"] == "req-1"
    assert running.decoder.metadata["traceparent"] == TRACE
    assert running.decoder.remaining == pytest.approx(30, abs=1)


async def test_bounds_a_completion_without_a_deadline_and_one_with_a_long_one():
    async with house(default_deadline_seconds=20, max_deadline_seconds=40) as running:
        *_, last = await responses_of(running.complete(metadata=(("x-request-id", "bad id!"),)))
        assert running.decoder.remaining == pytest.approx(20, abs=1)
        assert last.finished.request_id == running.decoder.metadata["x-request-id"] != "bad id!"
        await responses_of(running.complete(timeout=1000))
        assert running.decoder.remaining == pytest.approx(40, abs=1)


async def test_a_clients_cancel_reaches_the_decoder():
    async with house(FakeDecoder(TURN[:2], hangs=True)) as running:
        call = running.complete()
        await call.read()
        await call.read()
        began = time.monotonic()
        call.cancel()
        async with asyncio.timeout(SOON):
            await running.decoder.ended.wait()
        print(f"cancelled within {(time.monotonic() - began) * 1000:.0f} ms")  # 50 are asked for
        assert running.decoder.cancelled
        assert await metric(running, 'conveyor_requests_total{outcome="CANCELLED"}') == 1
        assert await metric(running, "conveyor_requests_running") == 0


async def test_a_cancel_reaches_the_decoder_when_the_client_had_stopped_reading():
    flood = [at(0, text_delta=decoder_pb2.TextDelta(text="x" * 100_000))] * 5_000
    async with house(FakeDecoder(flood)) as running:
        call = running.complete()
        await call.read()
        await asyncio.wait_for(running.decoder.running.wait(), SOON)
        call.cancel()
        async with asyncio.timeout(SOON):
            await running.decoder.ended.wait()
        assert running.decoder.cancelled


async def test_a_clients_deadline_ends_the_work_behind_it():
    async with house(FakeDecoder(TURN[:2], hangs=True)) as running:
        began = time.monotonic()
        error, _ = await failure_of(running.complete(timeout=0.2))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        print(f"ended {(time.monotonic() - began - 0.2) * 1000:.0f} ms after the deadline")  # 20 are asked for
        async with asyncio.timeout(SOON):
            await running.decoder.ended.wait()
        assert running.decoder.cancelled


async def test_the_default_deadline_is_told_with_its_reason():
    async with house(FakeDecoder(TURN[:2], hangs=True), default_deadline_seconds=0.2) as running:
        error, told = await failure_of(running.complete())
        assert (error.code(), told.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, Reason.DEADLINE_EXCEEDED)
        assert request_id_of(error) == running.decoder.metadata["x-request-id"]
        assert await metric(running, 'conveyor_requests_total{outcome="DEADLINE_EXCEEDED"}') == 1


async def test_a_decoder_that_is_down_is_unavailable_at_once():
    async with house(wait=False, decoder_address=closed_port()) as running:
        error, told = await failure_of(running.complete())
        assert (error.code(), told.reason) == (grpc.StatusCode.UNAVAILABLE, Reason.DECODER_UNAVAILABLE)
        assert told.message.startswith("The decoder cannot be reached")


async def test_a_decoder_that_dies_cuts_the_completion_with_its_reason():
    async with house(FakeDecoder(TURN[:2], hangs=True)) as running:
        call = running.complete()
        await asyncio.wait_for(running.decoder.running.wait(), SOON)
        await running.decoder_server.stop(0)
        error, told = await failure_of(call)
        assert (error.code(), told.reason) == (grpc.StatusCode.UNAVAILABLE, Reason.DECODER_UNAVAILABLE)
        assert told.message.startswith("The decoder was lost while it worked on this completion")


async def test_a_stream_that_ends_without_finished_is_an_error():
    async with house(FakeDecoder(TURN)) as running:
        error, told = await failure_of(running.complete())
        assert (error.code(), told.reason) == (grpc.StatusCode.UNAVAILABLE, Reason.DECODER_UNAVAILABLE)
        assert "before the completion did" in told.message


@pytest.mark.parametrize(
    "sent",
    [
        ServiceError(Reason.PROMPT_TOO_LONG, "9 tokens; at most 8."),
        ServiceError(Reason.OVERLOADED, "Full.", retry_seconds=2.5),
        ServiceError(Reason.INTERNAL, "A bug."),
    ],
)
async def test_the_decoders_own_error_keeps_its_reason_and_hint(sent):
    async with house(FakeDecoder([], error=sent)) as running:
        error, told = await failure_of(running.complete())
        assert error.code() is sent.code
        assert (told.reason, told.message, told.retry_seconds) == (sent.reason, sent.message, sent.retry_seconds)
        assert await metric(running, f'conveyor_requests_total{{outcome="{sent.reason}"}}') == 1


@pytest.mark.parametrize(
    ("tool_use", "reason", "sentence"),
    [
        (use("search", "nothing"), Reason.UNKNOWN_TOOL, "'nothing'; the tools are 'python', 'search'"),
        (use("search", form="smoke"), Reason.UNKNOWN_FORMAT, "'smoke'; the formats are 'code_block', 'hermes'"),
        (use("search", form="code_block"), Reason.INVALID_TOOL_USE, "can call 'python' only"),
        (use("python", "search", form="code_block"), Reason.INVALID_TOOL_USE, "'python', 'search'"),
        (use("x" * 100_000), Reason.UNKNOWN_TOOL, "…"),
        (use("\N{PILE OF POO}" * 100_000), Reason.UNKNOWN_TOOL, "…"),
    ],
)
async def test_refuses_tools_that_cannot_be_served_before_the_decoder_hears_of_them(tool_use, reason, sentence):
    async with house() as running:
        error, told = await failure_of(running.complete(tool_use=tool_use))
    assert (error.code(), told.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert sentence in told.message
    assert not running.decoder.requests


async def test_a_wrong_request_is_refused_with_its_reason_and_id():
    async with house() as running:
        error, told = await failure_of(running.complete(messages=[], metadata=(("x-request-id", "req-2"),)))
    assert (error.code(), told.reason) == (grpc.StatusCode.INVALID_ARGUMENT, Reason.EMPTY_PROMPT)
    assert request_id_of(error) == "req-2"


async def test_a_message_or_metadata_that_is_too_large_leaves_the_channel_usable():
    async with house() as running:
        huge = [gateway_pb2.Message(role="user", content="x" * 9_000_000)]
        error, _ = await failure_of(running.complete(messages=huge))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        error, _ = await failure_of(running.complete(metadata=(("x-note", "x" * 100_000),)))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await responses_of(running.complete())


async def test_a_tool_that_is_new_is_found_at_once():
    async with house(tools_refresh_seconds=1000) as running:
        running.tools.tools.append("brand_new")
        assert await responses_of(running.complete(tool_use=use("brand_new")))
        asked = running.tools.asked
        await responses_of(running.complete(tool_use=use("brand_new")))
        assert running.tools.asked == asked


async def test_lists_the_tools_as_the_tool_service_has_them():
    async with house() as running:
        listing = await running.stub.ListTools(gateway_pb2.ListToolsRequest())
    assert [tool.name for tool in listing.tools] == ["python", "search"]
    assert (listing.tools[0].effect, seconds(listing.tools[0].timeout)) == (gateway_pb2.EFFECT_READ, 3)
    assert [(form.name, form.only_tool) for form in listing.formats] == [("code_block", "python"), ("hermes", "")]


async def test_the_last_list_stands_while_the_tool_service_is_away():
    async with house() as running:
        await running.stub.ListTools(gateway_pb2.ListToolsRequest())
        await running.tools_server.stop(0)
        assert await responses_of(running.complete(tool_use=use("search")))
        _, told = await failure_of(running.complete(tool_use=use("nothing")))
        assert told.reason is Reason.UNKNOWN_TOOL
        assert (await running.stub.ListTools(gateway_pb2.ListToolsRequest())).tools
        await running.serving(True)


async def test_without_any_list_tools_are_unavailable_and_plain_completions_work():
    async with house(wait=False, tools_address=closed_port()) as running:
        error, told = await failure_of(running.complete(tool_use=use("search")))
        assert (error.code(), told.reason) == (grpc.StatusCode.UNAVAILABLE, Reason.TOOL_SERVICE_UNAVAILABLE)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await running.stub.ListTools(gateway_pb2.ListToolsRequest())
        assert from_rpc_error(raised.value, Reason.INTERNAL).reason is Reason.TOOL_SERVICE_UNAVAILABLE
        assert await responses_of(running.complete())
        await running.serving(False)
        assert json.loads((await fetch(running.gateway.http_port, "/ready"))[1])["missing"] == ["tools"]


async def test_more_completions_than_may_run_are_refused_with_a_retry_hint():
    async with house(FakeDecoder(TURN[:2], hangs=True), max_active=1) as running:
        first = running.complete()
        await asyncio.wait_for(running.decoder.running.wait(), SOON)
        error, told = await failure_of(running.complete())
        assert (error.code(), told.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, Reason.OVERLOADED)
        assert told.retry_seconds == 1
        running.decoder.release.set()
        assert (await responses_of(first))[-1].HasField("finished")
        assert (await responses_of(running.complete()))[-1].HasField("finished")


async def test_health_follows_the_decoder():
    async with house() as running:
        await running.decoder_server.not_ready()
        await running.serving(False)
        status, body = await fetch(running.gateway.http_port, "/ready")
        assert (status, json.loads(body)) == (503, {"ready": False, "draining": False, "missing": ["decoder"]})
        await running.decoder_server.ready()
        await running.serving(True)
        await running.decoder_server.stop(0)
        await running.serving(False)


async def test_http_tells_metrics_liveness_and_readiness():
    async with house() as running:
        await responses_of(running.complete(tool_use=use("search")))
        assert (await fetch(running.gateway.http_port, "/health"))[0] == 200
        status, body = await fetch(running.gateway.http_port, "/ready")
        assert (status, json.loads(body)["ready"]) == (200, True)
        assert (await fetch(running.gateway.http_port, "/nothing"))[0] == 404
        assert await metric(running, 'conveyor_requests_total{outcome="OK"}') == 1
        assert await metric(running, 'conveyor_request_success_total{finished_reason="stop"}') == 1
        names = ("time_to_first_token_seconds", "inter_token_latency_seconds", "e2e_request_latency_seconds")
        for name in (*names, "tool_hidden_seconds", "overlap_attained_ratio"):
            of = '{mode="partial",tool="search"}' if name not in names else ""
            assert await metric(running, f"conveyor_{name}_count{of}") == 1
        hidden = await metric(running, 'conveyor_tool_hidden_seconds_sum{mode="partial",tool="search"}')
        assert hidden == pytest.approx(0.4)
        assert await metric(running, "conveyor_requests_running") == 0


async def test_a_finished_completion_is_one_log_line_without_text():
    with structlog.testing.capture_logs() as lines:
        async with house() as running:
            metadata = (("x-request-id", "req-3"),)
            await responses_of(running.complete(tool_use=use("search"), metadata=metadata))
    (line,) = [line for line in lines if line["event"] == "completed"]
    assert (line["request_id"], line["turns"], line["calls"]) == ("req-3", 1, 1)
    assert (line["prompt_tokens"], line["completion_tokens"], line["hidden_seconds"]) == (5, 7, 0.4)
    assert (line["mode"], line["tools"], line["finish_reason"]) == ("partial", ["search"], "stop")
    assert 0 < line["first_token_seconds"] <= line["latency_seconds"]
    assert SECRET not in str(lines)


async def test_a_completion_that_comes_to_nothing_is_one_log_line_too():
    with structlog.testing.capture_logs() as lines:
        async with house(FakeDecoder(TURN[:2], hangs=True), max_active=1) as running:
            call = running.complete(tool_use=use("search"), metadata=(("x-request-id", "left"),))
            await asyncio.wait_for(running.decoder.running.wait(), SOON)
            await failure_of(running.complete(metadata=(("x-request-id", "too-many"),)))
            await anext(aiter(call))
            call.cancel()
            await asyncio.wait_for(running.decoder.ended.wait(), SOON)
    found = {line["request_id"]: line for line in lines if line["event"] == "not_completed"}
    assert {name: line["reason"] for name, line in found.items()} == {"left": "CANCELLED", "too-many": "OVERLOADED"}
    assert found["left"]["latency_seconds"] > 0
    assert (found["left"]["mode"], found["left"]["turns"]) == ("partial", 0)
    assert SECRET not in str(lines)


async def test_what_was_asked_and_answered_is_logged_where_that_is_wanted_up_to_a_length():
    long = "x" * 5000
    asked = [gateway_pb2.Message(role="user", content=f'say "{long}"\n')]
    script = [at(0.1, text_delta=decoder_pb2.TextDelta(text=piece)) for piece in ("a\n", long, long)]
    with structlog.testing.capture_logs() as lines:
        async with house(FakeDecoder([*script, FINISHED]), log_content=True) as running:
            await responses_of(running.complete(messages=asked))
    (line,) = [line for line in lines if line["event"] == "completed"]
    assert line["prompt"] == f'say "{long}'[:4096]
    assert line["answer"] == f"a\n{long}"[:4096]


async def test_a_drain_lets_running_completions_finish_and_takes_no_new_ones():
    async with house(FakeDecoder(TURN[:2], hangs=True)) as running:
        call = running.complete()
        await asyncio.wait_for(running.decoder.running.wait(), SOON)
        stopping = asyncio.create_task(running.gateway.stop(10))
        await running.serving(False)
        error, told = await failure_of(running.complete())
        assert (error.code(), told.reason) == (grpc.StatusCode.UNAVAILABLE, Reason.DRAINING)
        assert (await fetch(running.gateway.http_port, "/ready"))[0] == 503
        running.decoder.release.set()
        assert (await responses_of(call))[-1].HasField("finished")
        await asyncio.wait_for(stopping, 2)
        with pytest.raises(OSError):
            await fetch(running.gateway.http_port, "/health")


async def test_a_second_stop_cuts_the_drain_short():
    async with house(FakeDecoder(TURN[:2], hangs=True)) as running:
        call = running.complete()
        await asyncio.wait_for(running.decoder.running.wait(), SOON)
        stopping = asyncio.create_task(running.gateway.stop(600))
        await asyncio.wait_for(running.gateway.stop(0), 2)
        await asyncio.wait_for(stopping, 2)
        error, _ = await failure_of(call)
        assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        assert running.decoder.cancelled


async def test_a_watcher_of_health_does_not_hold_up_the_drain():
    async with house() as running:
        call = running.health.Watch(health_pb2.HealthCheckRequest())
        await call.read()
        await asyncio.wait_for(running.gateway.stop(600), 2)


async def test_a_taken_port_is_said():
    async with house() as running:
        taken = GatewaySettings(address="127.0.0.1:0", http_address=f"127.0.0.1:{running.gateway.http_port}")
        second = Gateway(taken)
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{running.gateway.http_port}"):
            await second.start()
        await second.stop(0)


async def test_the_process_becomes_ready_and_exits_cleanly_on_sigterm():
    address = closed_port()
    decoder, tools = await serve_decoder(FakeDecoder()), await serve_tools(FakeTools())
    flags = ("--address", address, "--http-address", "127.0.0.1:0")
    peers = ("--decoder-address", f"127.0.0.1:{decoder.port}", "--tools-address", f"127.0.0.1:{tools.port}")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", *flags, *peers, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(10):
            while json.loads(await process.stderr.readline())["event"] != "ready":
                pass
        process.send_signal(signal.SIGTERM)
        _, rest = await asyncio.wait_for(process.communicate(), 5)
    finally:
        if process.returncode is None:
            process.kill()
        await decoder.stop(0)
        await tools.stop(0)
    assert process.returncode == 0
    assert [json.loads(line)["event"] for line in rest.splitlines()][-1] == "stopped"
