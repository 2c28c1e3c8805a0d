"""Spans of the three real services, as a collector gets them."""

import asyncio
import subprocess
import sys
import time

import grpc
import pytest
import structlog

from decoder_service.models.loader import LoadedModel
from decoder_service.settings import DecoderSettings
from decoder_service.turn_spans import turn_spans
from gateway.settings import GatewaySettings
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.conveyor.tool.v1 import tool_pb2, tool_pb2_grpc
from protos.rpc import context
from protos.rpc.tracing import FLUSH_SECONDS, Kind, open_tracer
from tests.integration.collector import Collector, Kept, collecting
from tests.integration.commands import ROOT
from tests.integration.stack import Stack, running_stack, tool_service
from tool_service.interface import Call, Tool, tool
from tool_service.tools.calculator.tool import calculator

pytestmark = pytest.mark.timeout(240)  # the first test may have to convert the model

TRACE_ID, CLIENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SECRET = "41 + 1"


def written(name: str, arguments: str) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


PLAN = ">>>\n$1 = calculator(6 * 7)\n$2 = calculator($1 + 1)\n<<<\n"
GOOD = written("calculator", f'{{"expression": "{SECRET}"}}')
BAD = written("break_down", "{}")
MADE_UP = written("no_such_tool", "{}")


def asking(replay: list[str], format_: str = "hermes", tools: tuple[str, ...] = ("calculator",)) -> pb.CompleteRequest:
    return pb.CompleteRequest(
        messages=[pb.Message(role="user", content=SECRET)],
        tool_use=pb.ToolUse(format=format_, tools=tools),
        replay=replay,
        limits=pb.Limits(max_turns=len(replay), max_tokens=400),
    )


async def told(stack: Stack, request: pb.CompleteRequest, flags: str = "01") -> None:
    metadata = (("traceparent", f"00-{TRACE_ID}-{CLIENT_ID}-{flags}"), ("x-request-id", "asked-once"))
    call = stack.client.Complete(request, timeout=60, metadata=metadata)
    try:
        async for _ in call:
            pass
    finally:
        call.cancel()


def check_tree(collector: Collector) -> tuple[Kept, list[Kept]]:
    """The completion's span and its turns', which stand as they should."""
    (root,) = collector.named("invoke_agent conveyor")
    assert {kept.span.trace_id.hex() for kept in collector.spans} == {TRACE_ID}
    assert root.span.parent_span_id.hex() == CLIENT_ID
    turns = collector.named("chat small")
    assert {turn.span.parent_span_id for turn in turns} == {root.span.span_id}
    assert len({kept.span.span_id for kept in collector.spans}) == len(collector.spans)
    assert (root.service, {turn.service for turn in turns}) == ("conveyor-gateway", {"conveyor-decoder"})
    return root, turns


@tool
async def break_down() -> str:
    """Breaks down."""
    raise RuntimeError(SECRET)


async def test_a_completion_is_one_trace_below_the_clients_span(small_model: LoadedModel) -> None:
    async with collecting() as collector:
        async with running_stack(small_model, [break_down], traces=collector.endpoint) as stack:
            await told(stack, asking([GOOD, f"{BAD}\n{MADE_UP}", "Done."], tools=("calculator", "break_down")))
        root, turns = check_tree(collector)
    assert [turn.attributes["conveyor.turn"] for turn in turns] == [0, 1, 2]
    assert root.attributes["gen_ai.operation.name"] == "invoke_agent"
    assert root.attributes["gen_ai.response.id"] == "asked-once"
    assert root.attributes["gen_ai.request.model"] == "small"
    assert root.attributes["gen_ai.response.finish_reasons"] == ["stop"]
    assert (root.attributes["conveyor.turns"], root.attributes["conveyor.calls"]) == (3, 3)
    assert root.failed == ""
    assert root.attributes["gen_ai.usage.output_tokens"] == sum(
        t.attributes["gen_ai.usage.output_tokens"] for t in turns
    )
    for turn in turns:
        assert turn.attributes["gen_ai.operation.name"] == "chat"
        assert turn.attributes["gen_ai.request.model"] == "small"
        assert turn.attributes["gen_ai.usage.input_tokens"] > 0
        assert turn.attributes["gen_ai.response.finish_reasons"] == ["stop"]
        assert turn.events == ["batched", "first_token"]
        assert root.span.start_time_unix_nano <= turn.span.start_time_unix_nano < turn.span.end_time_unix_nano
        assert turn.span.end_time_unix_nano <= root.span.end_time_unix_nano
    (good,), (bad,), (unknown,) = (
        collector.named(f"execute_tool {name}") for name in ("calculator", "break_down", "unknown")
    )
    assert good.span.parent_span_id == turns[0].span.span_id
    assert {bad.span.parent_span_id, unknown.span.parent_span_id} == {turns[1].span.span_id}
    assert {good.service, bad.service, unknown.service} == {"conveyor-tools"}
    assert good.attributes["gen_ai.operation.name"] == "execute_tool"
    assert (good.attributes["gen_ai.tool.name"], good.attributes["gen_ai.tool.call.id"]) == ("calculator", "call_1")
    assert good.attributes["conveyor.mode"] == "partial"
    assert 0 < good.attributes["conveyor.opened_at"] < good.attributes["conveyor.sealed_at"] <= len(GOOD)
    assert 0 <= good.attributes["conveyor.hidden_seconds"] <= good.attributes["conveyor.busy_seconds"]
    assert good.events[0] == "started"
    assert "unit" in good.events
    assert (good.failed, bad.failed, unknown.failed) == ("", "RAISED", "UNKNOWN_TOOL")
    assert bad.attributes["error.type"] == "RAISED"
    assert SECRET not in str(collector.spans)


async def test_calls_that_a_tool_makes_stand_below_its_call(small_model: LoadedModel) -> None:
    async with collecting() as collector:
        async with running_stack(small_model, traces=collector.endpoint) as stack:
            await told(stack, asking([PLAN], "plan", ("plan",)))
        _, (turn,) = check_tree(collector)
    (plan,) = collector.named("execute_tool plan")
    assert collector.below(turn.span.span_id) == {"execute_tool plan"}
    inner = collector.named("execute_tool calculator")
    assert [kept.span.parent_span_id for kept in inner] == [plan.span.span_id] * 2


async def test_a_client_that_leaves_fails_the_spans_of_what_it_leaves(small_model: LoadedModel) -> None:
    begun = asyncio.Event()

    @tool
    async def wait() -> str:
        """Waits."""
        begun.set()
        await asyncio.Event().wait()
        return ""

    async with collecting() as collector:
        async with running_stack(small_model, [wait], traces=collector.endpoint) as stack:
            asked = asyncio.create_task(told(stack, asking([written("wait", "{}"), "."], tools=("wait",))))
            await asyncio.wait_for(begun.wait(), 30)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
        root, (turn,) = check_tree(collector)
    assert root.failed == root.attributes["error.type"] == "CANCELLED"
    (waiting,) = collector.named("execute_tool wait")
    assert (waiting.failed, waiting.span.parent_span_id) == ("CANCELLED", turn.span.span_id)


async def test_what_the_client_does_not_sample_is_not_sent_and_what_begins_here_by_the_ratio(
    small_model: LoadedModel,
) -> None:
    async with collecting() as collector:
        async with running_stack(small_model, traces=collector.endpoint) as stack:
            await told(stack, asking([GOOD, "Done."]), flags="00")
        assert collector.spans == []
        for ratio, kept in ((0.0, 0), (1.0, 1)):
            tracer = open_tracer("gateway", GatewaySettings(traces_endpoint=collector.endpoint, traces_ratio=ratio))
            with tracer.begin("one", Kind.SERVER, {}, None) as span:
                assert span.traceparent is not None
                assert int(span.traceparent[-2:], 16) & 1 == kept
            await tracer.aclose(30)
            assert len(collector.spans) == kept


async def executed(tools: list[Tool], endpoint: str, text: str, metadata: tuple[tuple[str, str], ...] = ()) -> None:
    """A turn with that text, asked of a tool service alone."""
    async with (
        tool_service(tools, traces=endpoint) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        stream = tool_pb2_grpc.ToolServiceStub(channel).Execute(metadata=metadata)
        start = tool_pb2.Start(format="hermes", tools=[tool.name for tool in tools])
        end = tool_pb2.TurnEnd(reason=tool_pb2.TURN_END_REASON_STOP)
        for command in (
            tool_pb2.ExecuteRequest(start=start),
            tool_pb2.ExecuteRequest(text_delta=tool_pb2.TextDelta(text=text)),
            tool_pb2.ExecuteRequest(turn_end=end),
        ):
            await stream.write(command)
        await stream.done_writing()
        async for _ in stream:
            pass


async def test_without_a_gateway_the_tool_service_traces_by_itself() -> None:
    async with collecting() as collector:
        await executed([calculator], collector.endpoint, GOOD)
        (span,) = collector.spans
    assert (span.name, span.span.parent_span_id) == ("execute_tool calculator", b"")


@pytest.mark.parametrize("keeps", [False, True])
async def test_a_tool_knows_the_span_of_its_call_and_else_the_one_that_the_completion_came_with(keeps: bool) -> None:
    known: list[str | None] = []

    @tool
    async def note(call: Call) -> str:
        """Notes its span."""
        known.append(call.traceparent)
        return ""

    came = f"00-{TRACE_ID}-{CLIENT_ID}-01"
    text = written("note", "{}") + written("note", "{}")
    async with collecting() as collector:
        await executed([note], collector.endpoint if keeps else "", text, (("traceparent", came),))
        spans = [kept.span.span_id.hex() for kept in collector.named("execute_tool note")]
    assert len(set(spans)) == (2 if keeps else 0)
    assert sorted(map(str, known)) == sorted(f"00-{TRACE_ID}-{id_}-01" for id_ in spans or [CLIENT_ID] * 2)


async def test_a_collector_that_is_away_costs_nothing_but_the_spans_and_a_line_of_the_log() -> None:
    tracer = open_tracer("gateway", GatewaySettings(traces_endpoint="http://127.0.0.1:1"))
    with structlog.testing.capture_logs() as lines:
        for _ in range(10_000):  # more than wait
            tracer.begin("one", Kind.SERVER, {}, None).end()
        began = time.monotonic()
        await tracer.aclose(FLUSH_SECONDS)
        took = time.monotonic() - began
    assert took < FLUSH_SECONDS + 1
    assert [line["event"] for line in lines] == ["traces_not_sent"]


def test_nothing_of_opentelemetry_is_imported_where_no_spans_are_sent() -> None:
    program = """
import sys
import gateway.__main__, decoder_service.assembly, decoder_service.servicer
from gateway.settings import GatewaySettings
from protos.rpc.tracing import OFF, open_tracer
assert open_tracer("gateway", GatewaySettings()) is OFF
print([name for name in sys.modules if name.startswith("opentelemetry")])
import tool_service.__main__
print([name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))])
"""
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (ran.stdout, ran.returncode) == ("[]\n[]\n", 0), ran.stderr


async def test_a_decoder_that_is_told_of_no_trace_begins_one_and_tells_what_it_calls() -> None:
    async with collecting() as collector:
        tracer = open_tracer("decoder", DecoderSettings(traces_endpoint=collector.endpoint))
        context.bind(context.RequestContext("asked-once"))
        with turn_spans(tracer, "small") as spans:
            assert context.current().traceparent == spans.parent
            spans.turn(0).end()
        await tracer.aclose(30)
        (root,) = collector.named("generate")
        (turn,) = collector.named("chat small")
    assert (root.span.parent_span_id, turn.span.parent_span_id) == (b"", root.span.span_id)
