"""`conveyor ask` and the demo's comparison against a gateway that speaks the real contract over loopback."""

import asyncio
import io
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from google.protobuf import duration_pb2
from rich.console import Console
from typer.testing import CliRunner

from gateway.cli import demo
from gateway.cli.app import app
from gateway.cli.demo_prompts import PROMPTS
from gateway.cli.failure import Peer
from gateway.cli.options import Mode
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.conveyor.gateway.v1 import gateway_pb2_grpc
from protos.rpc import handler
from protos.rpc.errors import Reason, ServiceError
from tests.integration.commands import conveyor, in_this_process, serving, start


def at(value: float) -> duration_pb2.Duration:
    duration = duration_pb2.Duration()
    duration.FromNanoseconds(round(value * 1e9))
    return duration


def turn(text: str) -> list[pb.CompleteResponse]:
    """One turn that opens and finishes one call."""
    decoded = pb.TurnDecoded(finish_reason=pb.FINISH_REASON_STOP, usage=pb.Usage(completion_tokens=2))
    return [
        pb.CompleteResponse(at=at(0.1), turn_started=pb.TurnStarted()),
        pb.CompleteResponse(at=at(0.2), text_delta=pb.TextDelta(text=text, token_ids=[1])),
        pb.CompleteResponse(at=at(0.2), call_opened=pb.CallOpened(call_id="c1", name="python")),
        pb.CompleteResponse(at=at(0.3), call_started=pb.CallStarted(call_id="c1")),
        pb.CompleteResponse(at=at(0.4), turn_decoded=decoded),
        pb.CompleteResponse(
            at=at(0.5), call_finished=pb.CallFinished(call_id="c1", result="1", arguments_json="{}", busy=at(0.2))
        ),
        pb.CompleteResponse(at=at(0.5), turn_finished=pb.TurnFinished(call_count=1)),
    ]


def finished(completion: float, decode: float) -> pb.CompleteResponse:
    ledger = pb.Ledger(completion=at(completion), decode=at(decode), tool=at(0.25), hidden=at(0.25), attained=0.9)
    usage = pb.Usage(completion_tokens=2)
    return pb.CompleteResponse(finished=pb.Finished(request_id="r1", ledger=ledger, usage=usage))


class FakeGateway(gateway_pb2_grpc.GatewayServiceServicer):
    """Says "print(1)", or what it is to replay; partial takes 1 s and anything else 2 s, or so it says."""

    def __init__(self) -> None:
        self.address = ""
        self.requests: list[pb.CompleteRequest] = []
        self.ended = asyncio.Event()
        self.refuse: Callable[[pb.CompleteRequest], ServiceError | None] = lambda request: None
        self.decode_seconds: Callable[[pb.CompleteRequest], float] = lambda request: 0.5
        self.hang = False
        self.hands_over = False
        self.end_early = False

    @handler.streaming
    async def Complete(self, request: pb.CompleteRequest) -> AsyncIterator[pb.CompleteResponse]:
        try:
            async for response in self._respond(request):
                yield response
        finally:
            self.ended.set()

    async def _respond(self, request: pb.CompleteRequest) -> AsyncIterator[pb.CompleteResponse]:
        self.requests.append(request)
        if (error := self.refuse(request)) is not None:
            raise error
        for text in request.replay or ["print(1)\x1b[2J"]:
            for response in turn(text):
                yield response
                if self.hands_over and response.HasField("call_started"):
                    picture = pb.CallArtifact(call_id="c1", name="figure-1.png", media_type="image/png", data=b"PNG")
                    yield pb.CompleteResponse(at=at(0.35), call_artifact=picture)
        if self.hang:
            await asyncio.Event().wait()
        if not self.end_early:
            yield finished(1.0 if request.tool_use.mode == pb.MODE_PARTIAL else 2.0, self.decode_seconds(request))


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    fake = FakeGateway()
    async with serving(gateway_pb2_grpc.add_GatewayServiceServicer_to_server, fake) as fake.address:
        yield fake


async def test_text_goes_to_standard_output_and_calls_and_ledger_beside_it(gateway):
    status, output, errors = await conveyor("ask", "Print 1.", "--tools", "python", "--gateway", gateway.address)
    assert (status, output) == (0, "print(1)\n")
    assert errors.splitlines() == [
        "[python] opened",
        "[python] started",
        "[python] finished in 0.20 s: 1",
        "completion 1.00 s · decode 0.50 s · tools 0.25 s · hidden 0.25 s · 90% of ideal",
    ]


async def test_artifacts_are_saved_where_they_are_to_be(gateway, tmp_path):
    gateway.hands_over = True
    arguments = ("ask", "Draw.", "--tools", "python", "--gateway", gateway.address)
    status, _, errors = await conveyor(*arguments, "--artifacts", str(tmp_path / "new"))
    assert status == 0
    assert (tmp_path / "new" / "figure-1.png").read_bytes() == b"PNG"
    assert f"[python] handed over figure-1.png, image/png, 3 bytes: {tmp_path}/new/figure-1.png\n" in errors
    _, _, errors = await conveyor(*arguments)
    assert "[python] handed over figure-1.png, image/png, 3 bytes; --artifacts FOLDER saves it\n" in errors


async def test_a_folder_for_artifacts_that_cannot_be_made_exits_2(tmp_path):
    (tmp_path / "file").touch()
    status, _, errors = await conveyor("ask", "Draw.", "--artifacts", str(tmp_path / "file" / "folder"))
    assert status == 2
    assert "cannot make the folder" in errors


async def test_options_become_the_request(gateway, tmp_path):
    replay = tmp_path / "turns.json"
    replay.write_text('{"turns": [{"text": "a\\r\\n"}, {"text": "b"}]}')
    options = "--tools python,search --mode serial --choice search --max-tokens 9 --max-turns 3 --temperature 0.5"
    more = "--top-p 0.75 --top-k 4 --seed -7 --stop END --stop STOP"
    status, output, _ = await conveyor(
        *("ask", "Hi", "--system", "Be brief.", *options.split(), *more.split()),
        *("--replay", str(replay), "--json", "--gateway", gateway.address),
    )
    assert status == 0
    assert [one["text"] for one in json.loads(output)["turns"]] == ["a\r\n", "b"]
    assert gateway.requests == [
        pb.CompleteRequest(
            messages=[pb.Message(role="system", content="Be brief."), pb.Message(role="user", content="Hi")],
            tool_use=pb.ToolUse(
                format="json",
                tools=["python", "search"],
                mode=pb.MODE_SERIAL,
                choice="search",
                stream_arguments=True,
            ),
            sampling=pb.Sampling(temperature=0.5, top_p=0.75, top_k=4, seed=-7),
            limits=pb.Limits(max_tokens=9, max_turns=3, stop=["END", "STOP"]),
            replay=["a\r\n", "b"],
        )
    ]


async def test_json_is_one_object_with_everything(gateway):
    status, output, errors = await conveyor(
        "ask", "Hi", "--tools", "python", "--replay", __file__, "--json", "--gateway", gateway.address
    )
    data = json.loads(output)
    assert (status, errors) == (0, "")
    assert data["text"] == Path(__file__).read_bytes().decode()
    assert data["request_id"] == "r1"
    assert data["calls"][0]["result"] == "1"
    assert data["ledger"]["completion_seconds"] == 1.0


async def test_a_json_stream_is_one_event_a_line(gateway):
    _, output, errors = await conveyor("ask", "Hi", "--json-stream", "--gateway", gateway.address)
    events = [json.loads(line)["event"] for line in output.splitlines()]
    assert errors == ""
    assert events[0] == "turn_started"
    assert events[-1] == "finished"


async def test_a_refusal_is_cause_remedy_and_request_id(gateway):
    gateway.refuse = lambda request: ServiceError(
        Reason.PROMPT_TOO_LONG, "9 tokens are too many \x1b[31m", field="messages"
    )
    status, output, errors = await conveyor("ask", "Hi", "--json", "--gateway", gateway.address)
    cause, remedy, request_id = errors.splitlines()
    assert status == 1
    assert json.loads(output)["error"] == {
        "reason": "PROMPT_TOO_LONG",
        "message": "9 tokens are too many \x1b[31m",
        "field": "messages",
        "remedy": remedy,
        "request_id": request_id.removeprefix("request id: "),
    }
    assert cause == "error: PROMPT_TOO_LONG: 9 tokens are too many"
    assert remedy.startswith("Shorten the prompt")
    assert request_id.startswith("request id: ")


async def test_a_traceback_only_with_debug(gateway):
    gateway.refuse = lambda request: ServiceError(Reason.INTERNAL, "oops")
    status, _, errors = await conveyor("ask", "Hi", "--debug", "--gateway", gateway.address)
    assert status == 1
    assert "Traceback" in errors
    assert "error: INTERNAL: oops" in errors


async def test_a_stream_that_ends_without_its_last_event_is_a_failure(gateway):
    gateway.end_early = True
    status, _, errors = await conveyor("ask", "Hi", "--gateway", gateway.address)
    assert status == 1
    assert "without a last event" in errors


async def test_a_cancel_by_the_service_is_a_failure_and_no_interrupt(gateway):
    gateway.refuse = lambda request: ServiceError(Reason.CANCELLED, "shutting down")
    status, _, errors = await conveyor("ask", "Hi", "--gateway", gateway.address)
    assert status == 1
    assert errors.startswith("error: ")
    assert "cancelled" in errors.lower()


async def test_nobody_at_the_address():
    status, _, errors = await conveyor("ask", "Hi", "--gateway", "127.0.0.1:1")
    assert status == 1
    assert errors.startswith("error: no gateway answers at 127.0.0.1:1\nStart the services with `conveyor up`")


async def test_interrupting_cancels_the_completion_and_exits_130(gateway):
    gateway.hang = True
    process = await start("ask", "Hi", "--gateway", gateway.address)
    assert process.stdout is not None
    assert process.stderr is not None
    await process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    await asyncio.wait_for(gateway.ended.wait(), 5)
    _, errors = await process.communicate()
    assert process.returncode == 130
    assert errors.decode().splitlines()[-1] == "cancelled"


async def test_a_timeout_says_so(gateway):
    gateway.hang = True
    status, _, errors = await conveyor("ask", "Hi", "--timeout", "0.3", "--gateway", gateway.address)
    assert status == 1
    assert "DEADLINE_EXCEEDED" in errors
    assert "--timeout" in errors


@pytest.mark.parametrize(
    "wrong",
    [
        ("--mode", "eager"),
        ("--format", "json"),
        ("--choice", "required"),
        ("--temperature", "hot"),
        ("--replay", "/nowhere"),
        ("--no-such-option",),
        ("--max-tokens", "99999999999999"),
        ("--max-turns", "2147483648"),
        ("--top-k", "-2147483649"),
        ("--seed", "99999999999999999999999"),
        ("--system", os.fsdecode(b"\xff")),
        ("--stop", "a", "--stop", os.fsdecode(b"\xfe")),
        ("--timeout", "inf"),
        ("--timeout", "nan"),
        ("--timeout", "1e30"),
        ("--gateway", "127.0.0.1:99999"),
        ("--json", "--json-stream"),
    ],
)
def test_wrong_usage_exits_2(wrong):
    status, output, errors = in_this_process("ask", "Hi", *wrong)
    assert (status, output) == (2, "")
    assert errors
    assert "Traceback" not in errors


async def test_a_question_that_is_not_text_exits_2():
    status, output, errors = await conveyor("ask", os.fsdecode(b"\xff\xfe"))
    assert (status, output) == (2, "")
    assert "not UTF-8" in errors


def test_a_question_on_standard_input_that_is_not_text_exits_2():
    result = CliRunner().invoke(app, ["ask", "-"], input=b"\xff\xfe")
    assert result.exit_code == 2
    assert "standard input is not UTF-8" in result.stderr


async def compared(gateway: FakeGateway, trials: int) -> tuple[list[demo.Comparison], str]:
    console = Console(file=io.StringIO(), width=100, force_terminal=False, markup=False)
    comparisons = await demo.compare(Peer("gateway", gateway.address, "--gateway"), trials, console)
    console.print(demo.results_table(comparisons))
    return comparisons, console.file.getvalue()  # type: ignore[attr-defined]


async def test_the_demo_replays_what_was_written_in_both_modes_in_turn(gateway):
    comparisons, output = await compared(gateway, 2)
    assert [comparison.prompt for comparison in comparisons] == list(PROMPTS)
    of_first = gateway.requests[:5]
    assert [list(request.replay) for request in of_first] == [[], *[["print(1)\x1b[2J"]] * 4]
    assert [request.tool_use.mode for request in of_first] == [4, 1, 4, 1, 4]
    assert comparisons[0].medians() == {
        "serial_seconds": 2.0,
        "partial_seconds": 1.0,
        "saved": 0.5,
        "hidden_seconds": 0.25,
        "attained": 0.9,
    }
    row = next(line for line in output.splitlines() if "│ code" in line)
    assert [cell.strip() for cell in row.split("│")[1:-1]] == ["code", "2.00 s", "1.00 s", "50%", "0.25 s", "90%"]
    assert "\x1b" not in output
    assert demo.caveats(comparisons) == []


async def test_a_text_that_is_given_is_replayed_and_never_called_the_models_own(gateway):
    comparisons, output = await compared(gateway, 1)
    last = gateway.requests[-2:]
    assert PROMPTS[-1].given
    assert [tuple(request.replay) for request in last] == [PROMPTS[-1].given] * 2
    assert [request.tool_use.mode for request in last] == [1, 4]
    assert "work to hide · the model writes freely" not in output
    assert "work to hide · partial · given text" in output
    assert [line.split(":")[0] for line in demo.given_texts(comparisons)] == ["work to hide"]
    data = comparisons[-1].to_json()
    assert (data["given"], data["free"]) == (list(PROMPTS[-1].given), None)
    assert comparisons[0].to_json()["given"] == []


async def test_the_demo_says_so_where_decoding_was_unsteady(gateway):
    gateway.decode_seconds = lambda request: 0.6 if request.tool_use.mode == pb.MODE_SERIAL else 0.45
    comparisons, _ = await compared(gateway, 1)
    assert demo.caveats(comparisons)[0].startswith("code: a token took 25% more or less")


async def test_a_prompt_of_the_demo_that_fails_does_not_keep_the_others_from_running(gateway):
    def refuse(request: pb.CompleteRequest) -> ServiceError | None:
        wanted = request.tool_use.format == "json" and request.tool_use.mode == pb.MODE_SERIAL
        return ServiceError(Reason.INTERNAL, "oops") if wanted else None

    gateway.refuse = refuse
    comparisons, output = await compared(gateway, 1)
    assert [comparison.failure is None for comparison in comparisons] == [True, False, True, True]
    assert "failed" in output
    data = comparisons[1].to_json()
    assert data["error"] == "INTERNAL: oops"
    assert data["free"]["text"] == "print(1)\x1b[2J"
    assert (data["serial"], data["partial"]) == ([], [])
    assert len(comparisons[2].to_json()[Mode.PARTIAL]) == 1
