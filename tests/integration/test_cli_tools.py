"""`conveyor tools` against a tool service that speaks the real contract over loopback."""

import json
import os
from collections.abc import AsyncIterator

import pytest
from google.protobuf import duration_pb2

from protos.conveyor.tool.v1 import tool_pb2 as pb
from protos.conveyor.tool.v1 import tool_pb2_grpc
from protos.rpc import handler
from protos.rpc.errors import Reason, ServiceError
from tests.integration.commands import conveyor, in_this_process, serving


class FakeToolService(tool_pb2_grpc.ToolServiceServicer):
    """Has one tool, `echo`, that prints `…` twice and gives its arguments back; `fail` makes it fail."""

    def __init__(self) -> None:
        self.address = ""
        self.requests: list[pb.ExecuteRequest] = []

    @handler.streaming
    async def Execute(self, requests: AsyncIterator[pb.ExecuteRequest]) -> AsyncIterator[pb.ExecuteResponse]:
        async for request in requests:
            self.requests.append(request)
            if request.HasField("start") and request.start.tools != ["echo"]:
                raise ServiceError(Reason.UNKNOWN_TOOL, f"no tool {request.start.tools[0]}")
            if request.HasField("start"):
                yield pb.ExecuteResponse(started=pb.Started())
            if request.HasField("turn_end"):
                for response in self._run(self.requests[1].text_delta.text):
                    yield response

    @handler.unary
    async def ListTools(self, request: pb.ListToolsRequest) -> pb.ListToolsResponse:
        return pb.ListToolsResponse(
            tools=[
                pb.Tool(
                    name="echo",
                    description="Gives back [bold]it\x1b[2J.\n\nMore.",
                    parameters_json_schema='{"type": "object"}',
                    effect=pb.EFFECT_NONE,
                    partial=True,
                    timeout=duration_pb2.Duration(seconds=10),
                )
            ],
            formats=[pb.Format(name="code_block", description="A fence.", only_tool="echo")],
        )

    def _run(self, text: str) -> list[pb.ExecuteResponse]:
        call = json.loads(text)
        finished = pb.CallFinished(
            call_id="c1",
            arguments_json=json.dumps(call["arguments"]),
            timing=pb.Timing(busy=duration_pb2.Duration(nanos=250_000_000)),
        )
        if call["arguments"].get("fail"):
            finished.error.CopyFrom(pb.ToolError(code="RAISED", message="Traceback:\nboom \x1b[31m"))
        else:
            finished.result = f"got {call['arguments']}\x1b[31m"
        return [
            pb.ExecuteResponse(call_opened=pb.CallOpened(call_id="c1", name=call["name"])),
            pb.ExecuteResponse(call_output=pb.CallOutput(call_id="c1", text="… \x1b[")),
            pb.ExecuteResponse(call_output=pb.CallOutput(call_id="c1", text="31m…")),
            pb.ExecuteResponse(call_finished=finished),
            pb.ExecuteResponse(turn_finished=pb.TurnFinished(call_count=1)),
        ]


@pytest.fixture
async def service() -> AsyncIterator[FakeToolService]:
    fake = FakeToolService()
    async with serving(tool_pb2_grpc.add_ToolServiceServicer_to_server, fake) as fake.address:
        yield fake


async def test_the_list_for_people(service):
    status, output, _ = await conveyor("tools", "list", "--tools-address", service.address)
    words = " ".join(output.split())
    assert status == 0
    assert "echo none yes no 10 s Gives back [bold]it." in words
    assert "code_block A fence. (only echo)" in words
    assert "\x1b" not in output


async def test_the_list_for_programs(service):
    _, output, _ = await conveyor("tools", "list", "--json", "--tools-address", service.address)
    data = json.loads(output)
    assert data["tools"][0]["parameters_json_schema"] == {"type": "object"}
    assert data["tools"][0]["timeout_seconds"] == 10.0
    assert data["formats"] == [
        {"name": "code_block", "description": "A fence.", "only_tool": "echo", "calls_others": False}
    ]


async def test_a_call_streams_its_output_and_prints_its_result(service):
    status, output, errors = await conveyor(
        "tools", "call", "echo", "--arguments", '{"a": "ü"}', "--tools-address", service.address
    )
    assert (status, output) == (0, "got {'a': 'ü'}\n")
    assert errors.splitlines() == ["… …", "busy 0.250 s · waiting 0.000 s · queued 0.000 s"]
    assert service.requests == [
        pb.ExecuteRequest(start=pb.Start(format="json", tools=["echo"], mode=pb.MODE_SERIAL, stream_arguments=True)),
        pb.ExecuteRequest(text_delta=pb.TextDelta(text='{"name": "echo", "arguments": {"a": "ü"}}')),
        pb.ExecuteRequest(turn_end=pb.TurnEnd(reason=pb.TURN_END_REASON_STOP)),
    ]


async def test_a_call_for_programs(service):
    _, output, errors = await conveyor("tools", "call", "echo", "--json", "--tools-address", service.address)
    assert errors == ""
    assert json.loads(output) == {
        "name": "echo",
        "arguments": {},
        "output": "… \x1b[31m…",
        "result": "got {}\x1b[31m",
        "busy_seconds": 0.25,
    }


async def test_a_tool_that_fails_exits_1(service):
    arguments = ("tools", "call", "echo", "--arguments", '{"fail": true}', "--tools-address", service.address)
    status, output, errors = await conveyor(*arguments)
    assert (status, output) == (1, "")
    assert "error: echo: RAISED: boom\n  | Traceback:\n  | boom \n" in errors
    assert "request id: " in errors
    status, output, errors = await conveyor(*arguments, "--json")
    assert status == 1
    error = json.loads(output)["error"]
    assert (error["reason"], error["message"]) == ("RAISED", "Traceback:\nboom \x1b[31m")
    assert error["remedy"] in errors
    assert f"request id: {error['request_id']}\n" in errors


async def test_an_unknown_tool_is_refused_with_what_to_do(service):
    status, _, errors = await conveyor("tools", "call", "nope", "--tools-address", service.address)
    assert status == 1
    assert "UNKNOWN_TOOL" in errors
    assert "Correct the tool's name; `conveyor tools list` shows what there is." in errors
    assert "request id: " in errors


@pytest.mark.parametrize(
    ("arguments", "said"), [('{"a": 1,}', "column 9"), ("[1]", "not a JSON object"), ("", "column 1")]
)
def test_bad_arguments_exit_2_with_the_place(arguments, said):
    status, output, errors = in_this_process("tools", "call", "echo", "--arguments", arguments)
    assert (status, output) == (2, "")
    assert said in " ".join(errors.split())


async def test_a_tool_whose_name_is_not_text_exits_2():
    status, _, errors = await conveyor("tools", "call", os.fsdecode(b"\xff"))
    assert status == 2
    assert "not UTF-8" in errors


async def test_a_refusal_for_programs(service):
    status, output, _ = await conveyor("tools", "call", "nope", "--json", "--tools-address", service.address)
    assert status == 1
    assert json.loads(output)["error"]["reason"] == "UNKNOWN_TOOL"


async def test_nobody_at_the_address():
    status, _, errors = await conveyor("tools", "list", "--tools-address", "127.0.0.1:1")
    assert status == 1
    assert "no tool service answers at 127.0.0.1:1" in errors
