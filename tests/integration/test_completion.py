"""Completions through the three real services, with real tools, and with the default model where its words matter."""

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from decoder_service.models.loader import LoadedModel
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.rpc.errors import Reason, from_rpc_error
from tests.integration.stack import Stack, interpreters, running_stack
from tests.processes import is_running, until
from tool_service.interface import Arg, Reject, tool

pytestmark = pytest.mark.timeout(240)  # the first test may have to convert the model

PACE = 0.04  # seconds of a step, where a tool is to be done before the last token

CODE = """```python
first = 6 * 7
print(first)
second = first + 1
print(second)
print('a longer line that takes a few more tokens to write')
```"""


def asking(text: str, **fields: object) -> pb.CompleteRequest:
    return pb.CompleteRequest(messages=[pb.Message(role="user", content=text)], **fields)  # type: ignore[arg-type]


def coding(replay: str, mode: str = "MODE_PARTIAL", **limits: int) -> pb.CompleteRequest:
    return asking(
        "Compute.",
        tool_use=pb.ToolUse(format="code_block", tools=["python"], mode=mode),
        replay=[replay],
        limits=pb.Limits(**{"max_turns": 1, **limits}),
    )


async def test_a_plain_completion_streams_text(model: LoadedModel) -> None:
    async with running_stack(model) as stack:
        answer = await stack.complete(asking("Say hello.", limits=pb.Limits(max_tokens=8)))
    assert answer.text.strip()
    assert answer.finished.finish_reason == pb.FINISH_REASON_LENGTH
    assert answer.finished.usage.completion_tokens == 8
    assert answer.finished.ledger.completion.ToTimedelta() >= answer.finished.ledger.decode.ToTimedelta()
    assert not answer.finished.ledger.HasField("attained")


async def test_partial_has_run_the_first_statement_before_the_last_token(any_model: LoadedModel) -> None:
    async with running_stack(any_model, step_seconds=PACE) as stack:
        answer = await stack.complete(coding(CODE))
        serial = await stack.complete(coding(CODE, "MODE_SERIAL"))
    units = [event.unit_finished.label for event in answer.of("unit_finished")]
    assert units[:3] == ["start", "first = 6 * 7", "print(first)"]
    assert answer.place("unit_finished", 1) < answer.place("text_delta", -1)
    assert answer.place("call_output") < answer.place("turn_decoded")
    assert answer.text == serial.text == CODE
    assert answer.calls[0].result == serial.calls[0].result
    assert answer.calls[0].result.startswith("42\n43\n")
    assert serial.place("call_started") > serial.place("turn_decoded")
    assert serial.finished.ledger.hidden.ToNanoseconds() == 0
    assert answer.finished.ledger.hidden.ToNanoseconds() > 0


PLAN = """>>>
$1 = calculator(6 * 7)
$2 = calculator(2 ** 5)
$3 = calculator($1 - $2)
<<<
"""


async def test_a_plans_lines_run_while_it_is_written_and_the_model_reads_its_one_result(any_model: LoadedModel) -> None:
    use = pb.ToolUse(format="plan", tools=["plan"])
    request = asking("Compute.", tool_use=use, replay=[PLAN, "10."], limits=pb.Limits(max_turns=2, max_tokens=80))
    async with running_stack(any_model, step_seconds=PACE) as stack:
        answer = await stack.complete(request)
    opened = [(event.call_opened.call_id, event.call_opened.parent_id) for event in answer.of("call_opened")]
    assert opened == [("call_1", ""), ("call_1.1", "call_1"), ("call_1.2", "call_1"), ("call_1.3", "call_1")]
    results = {call.call_id: call.result for call in answer.calls}
    assert results["call_1"] == "$1: 42\n$2: 32\n$3: 10\n"
    assert results["call_1.3"] == "10"
    assert answer.place("call_finished") < answer.place("turn_decoded")
    assert next(e.call_started.after for e in answer.of("call_started") if e.call_started.call_id == "call_1.3") == [
        "call_1.1",
        "call_1.2",
    ]
    assert answer.of("turn_finished")[0].turn_finished.call_count == 1
    first, second = (event.turn_decoded.usage for event in answer.of("turn_decoded"))
    told = f"<|im_end|>\n<|im_start|>user\nResult of plan:\n{results['call_1']}<|im_end|>\n<|im_start|>assistant\n"
    new = len(any_model.tokenizer(told)["input_ids"])
    assert second.prompt_tokens == first.prompt_tokens + first.completion_tokens + new


async def test_a_second_turn_reads_the_result_and_computes_only_what_is_new(any_model: LoadedModel) -> None:
    request = coding(CODE, max_turns=2, max_tokens=80)
    async with running_stack(any_model) as stack:
        answer = await stack.complete(request)
    first, second = (event.turn_decoded.usage for event in answer.of("turn_decoded"))
    assert first.cached_tokens == 0
    # All that the first turn had, but its last token, which was chosen and not yet run through the model; more where
    # the result took long enough for something to be prepared.
    assert second.cached_tokens >= first.prompt_tokens + first.completion_tokens - 1
    results = (
        "<|im_end|>\n<|im_start|>user\nResult of python:\n"
        + answer.calls[0].result
        + "<|im_end|>\n<|im_start|>assistant\n"
    )
    new = len(any_model.tokenizer(results)["input_ids"])
    assert second.prompt_tokens == first.prompt_tokens + first.completion_tokens + new
    assert answer.finished.usage.cached_tokens == second.cached_tokens


@pytest.mark.parametrize("fails", [False, True])
async def test_a_result_that_streams_is_computed_as_it_comes_and_the_answer_is_the_same(
    any_model: LoadedModel, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    prepares = True
    lines = [f"This is number {number}.\n" for number in range(40)]
    most = len(any_model.tokenizer("".join(lines[:-2]))["input_ids"])  # the last words are held back

    def is_prepared() -> bool:
        sequences = stack.engine._sequences.values()
        return any(sequence.ahead > most and sequence.uncached == 1 for sequence in sequences)

    @tool
    async def count(to: int) -> AsyncIterator[str]:
        """Count."""
        for line in lines[:to]:
            yield line
            await asyncio.sleep(0.005)
        if prepares:
            await until(is_prepared)
        if fails:
            raise ValueError("it was too much")
        yield "That is all."

    use = pb.ToolUse(format="json", tools=["count"])
    replay = ['{"name": "count", "arguments": {"to": 40}}']
    request = asking("Count.", tool_use=use, replay=replay, limits=pb.Limits(max_turns=2, max_tokens=28))
    async with running_stack(any_model, [count]) as stack:
        answer = await stack.complete(request)
        prepares = False
        monkeypatch.setattr("decoder_service.completion.WORTH_SECONDS", math.inf)
        plain = await stack.complete(request)
    assert answer.text == plain.text
    first, second = (event.turn_decoded.usage for event in answer.of("turn_decoded"))
    assert second.prompt_tokens == plain.of("turn_decoded")[1].turn_decoded.usage.prompt_tokens
    assert second.cached_tokens >= first.prompt_tokens + first.completion_tokens
    if not fails:
        assert second.prompt_tokens - second.cached_tokens < 40 < second.prompt_tokens - first.prompt_tokens - 200


async def test_a_required_call_is_valid_whatever_the_model(model: LoadedModel) -> None:
    use = pb.ToolUse(format="json", tools=["calculator", "python"], choice="calculator", stream_arguments=True)
    async with running_stack(model) as stack:
        answer = await stack.complete(
            asking("What is 12*7?", tool_use=use, limits=pb.Limits(max_turns=1, max_tokens=60))
        )
    assert [event.call_opened.name for event in answer.of("call_opened")] == ["calculator"]
    assert answer.calls[0].arguments_json.startswith('{"expression": ')
    pieces = [event.arguments_delta for event in answer.of("arguments_delta")]
    assert {piece.argument for piece in pieces} == {"expression"}
    written = json.loads(answer.calls[0].arguments_json)["expression"]
    assert "".join(piece.text for piece in pieces) == written


async def test_arguments_come_piece_by_piece_only_where_that_is_asked_for(any_model: LoadedModel) -> None:
    call = '{"name": "calculator", "arguments": {"expression": "12 * 7 + 30 / 5"}}'

    def request(stream_arguments: bool) -> pb.CompleteRequest:
        use = pb.ToolUse(format="json", tools=["calculator"], stream_arguments=stream_arguments)
        return asking("Compute.", tool_use=use, replay=[call], limits=pb.Limits(max_turns=1))

    async with running_stack(any_model) as stack:
        plain = await stack.complete(request(stream_arguments=False))
        asked = await stack.complete(request(stream_arguments=True))
    assert plain.calls[0].arguments_json == asked.calls[0].arguments_json == '{"expression": "12 * 7 + 30 / 5"}'
    assert not plain.of("arguments_delta")
    pieces = [event.arguments_delta for event in asked.of("arguments_delta")]
    assert {(piece.call_id, piece.argument) for piece in pieces} == {("call_1", "expression")}
    assert "".join(piece.text for piece in pieces) == "12 * 7 + 30 / 5"
    assert len(pieces) > 2
    assert asked.place("arguments_delta", -1) < asked.place("call_finished")


async def test_a_turn_cut_by_length_never_seals_its_call(any_model: LoadedModel) -> None:
    async with running_stack(any_model) as stack:
        for mode in ("MODE_SERIAL", "MODE_PARALLEL", "MODE_ON_SEAL", "MODE_PARTIAL"):
            answer = await stack.complete(coding(CODE, mode, max_tokens=20))
            assert answer.finished.finish_reason == pb.FINISH_REASON_LENGTH
            assert answer.calls[0].error.code == "INCOMPLETE"
            assert answer.calls[0].arguments_json == ""


async def test_cancelling_frees_the_sequence_and_kills_the_interpreter(any_model: LoadedModel) -> None:
    endless = "```python\nprint('begun')\nimport time\nwhile True: time.sleep(1)\n\n" + "x = 1\n" * 200 + "```"
    before = interpreters()
    async with running_stack(any_model) as stack:
        call = stack.client.Complete(coding(endless, max_tokens=2000), timeout=60)
        while (await call.read()).WhichOneof("event") != "call_output":
            pass
        opened = interpreters() - before
        assert opened
        began = time.monotonic()
        call.cancel()
        await until(lambda: not stack.decoder.engine.counts()["running"] and not any(map(is_running, opened)))
        seconds = time.monotonic() - began
    print(f"cancelled everything in {seconds * 1000:.0f} ms")  # 200 are asked for


@pytest.mark.parametrize("end", ["import os; os._exit(3)", "raise SystemExit(2)", "import os; os.kill(os.getpid(), 9)"])
async def test_an_interpreter_that_exits_in_the_middle_gives_an_error_result(any_model: LoadedModel, end: str) -> None:
    code = f"```python\nprint('begun')\n{end}\nprint('never')\n```"
    async with running_stack(any_model) as stack:
        answer = await stack.complete(coding(code, max_turns=2, max_tokens=60))
    assert answer.calls[0].HasField("error")
    assert "begun" in answer.calls[0].error.message and "never" not in answer.calls[0].error.message.splitlines()
    assert answer.finished.usage.completion_tokens > 0


async def test_a_tool_past_its_timeout_gives_an_error_result(any_model: LoadedModel) -> None:
    @tool(timeout=0.1)
    async def hang(text: Arg[str]) -> str:
        """Hang."""
        await text
        await asyncio.Event().wait()
        return ""

    use = pb.ToolUse(format="json", tools=["hang"])
    replay = ['{"name": "hang", "arguments": {"text": "a"}}']
    async with running_stack(any_model, [hang]) as stack:
        answer = await stack.complete(
            asking("Hang.", tool_use=use, replay=replay, limits=pb.Limits(max_turns=2, max_tokens=40))
        )
    assert answer.calls[0].error.code == "TIMEOUT"
    assert len(answer.of("turn_decoded")) == 2


async def test_a_veto_stops_the_turn_and_the_model_reads_why(any_model: LoadedModel) -> None:
    @tool
    async def news(place: Arg[str], topic: Arg[str]) -> str:
        """Read the news."""
        raise Reject(f"{await place} is no place")

    replay = ['{"name": "news", "arguments": {"place": "Nowhere", "topic": "' + "a long topic " * 30 + '"}}', "I see."]
    use = pb.ToolUse(format="json", tools=["news"])
    async with running_stack(any_model, [news], step_seconds=PACE) as stack:
        answer = await stack.complete(
            asking("News?", tool_use=use, replay=replay, limits=pb.Limits(max_turns=2, max_tokens=150))
        )
    turn = answer.of("turn_decoded")[0].turn_decoded
    assert turn.finish_reason == pb.FINISH_REASON_VETO
    assert turn.usage.completion_tokens < 60
    assert answer.calls[0].error.message == "Nowhere is no place"
    assert answer.of("turn_vetoed")[0].turn_vetoed.reason == "Nowhere is no place"


async def test_completions_with_tools_run_beside_each_other(any_model: LoadedModel) -> None:
    async with running_stack(any_model) as stack:
        code = "```python\nx = {number}\nprint(x * x)\n```"
        answers = await asyncio.gather(*(stack.complete(coding(code.format(number=number))) for number in range(4)))
    assert [answer.calls[0].result for answer in answers] == ["0\n", "1\n", "4\n", "9\n"]


async def refused(stack: Stack, request: pb.CompleteRequest) -> tuple[grpc.StatusCode, Reason, str]:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await stack.complete(request)
    told = from_rpc_error(error.value, Reason.DECODER_UNAVAILABLE)
    return error.value.code(), told.reason, told.message


async def test_wrong_input_is_refused_with_a_reason_and_a_sentence(any_model: LoadedModel) -> None:
    wrong = {
        Reason.EMPTY_PROMPT: asking(""),
        Reason.PROMPT_TOO_LONG: asking("word " * 3000),
        Reason.UNKNOWN_TOOL: asking("x", tool_use=pb.ToolUse(format="json", tools=["nothing"])),
        Reason.UNKNOWN_FORMAT: asking("x", tool_use=pb.ToolUse(format="nothing", tools=["python"])),
        Reason.INVALID_LIMIT: asking("x", limits=pb.Limits(max_tokens=10**9)),
        Reason.INVALID_SAMPLING: asking("x", sampling=pb.Sampling(temperature=9)),
        Reason.INVALID_SCHEMA: asking("x", response_json_schema='{"type": "nonsense"}'),
    }
    async with running_stack(any_model, context_length=2048) as stack:
        for reason, request in wrong.items():
            code, told, sentence = await refused(stack, request)
            assert (code, told) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
            assert len(sentence.split()) > 4
        assert stack.decoder.engine.counts()["running"] == 0


async def test_a_call_that_no_grammar_can_require_is_refused_by_tool_argument_and_keyword(
    any_model: LoadedModel,
) -> None:
    @tool
    def draw(numbers: set[int]) -> str:
        """Draws lots."""
        return str(min(numbers))

    async with running_stack(any_model, tools=[draw]) as stack:
        use = pb.ToolUse(format="hermes", tools=["draw"], choice="required")
        code, reason, sentence = await refused(stack, asking("Draw.", tool_use=use))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, Reason.INVALID_SCHEMA)
    assert "tool 'draw', argument 'numbers': uniqueItems: " in sentence


@pytest.mark.parametrize(
    ("of", "keyword"),
    [({"type": "integer", "multipleOf": 1_000_003}, "multipleOf"), ({"not": {"type": "null"}}, "not")],
)
async def test_a_schema_that_no_answer_can_be_kept_to_is_refused_by_keyword_and_place(
    any_model: LoadedModel, of: dict[str, Any], keyword: str
) -> None:
    schema = {"type": "object", "properties": {"items": {"type": "array", "items": {"properties": {"size": of}}}}}
    async with running_stack(any_model) as stack:
        code, reason, sentence = await refused(stack, asking("Go.", response_json_schema=json.dumps(schema)))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, Reason.INVALID_SCHEMA)
    assert f"response_json_schema cannot be followed by a grammar: property 'items.size': {keyword}: " in sentence


async def test_over_capacity_is_refused_at_once(model: LoadedModel) -> None:
    async with running_stack(model, max_running=1, max_waiting=0) as stack:
        first = stack.client.Complete(asking("Count to a thousand.", limits=pb.Limits(max_tokens=500)), timeout=60)
        assert (await first.read()).WhichOneof("event") == "turn_started"
        code, reason, _ = await refused(stack, asking("And I?"))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stack.complete(asking("And I?"))
        assert from_rpc_error(caught.value, Reason.INTERNAL).retry_seconds == 1
        first.cancel()
    assert (code, reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, Reason.OVERLOADED)


async def test_a_schema_shapes_the_answer(model: LoadedModel) -> None:
    schema = (
        '{"type": "object", "properties": {"ok": {"type": "boolean"}}, '
        '"required": ["ok"], "additionalProperties": false}'
    )
    async with running_stack(model) as stack:
        answer = await stack.complete(asking("Is water wet?", response_json_schema=schema))
    assert answer.text in ('{"ok": true}', '{"ok": false}')


async def test_a_result_too_long_for_the_context_is_cut_and_read(any_model: LoadedModel) -> None:
    code = "```python\nprint(list(range(2000)))\n```"
    async with running_stack(any_model, context_length=1024) as stack:
        answer = await stack.complete(coding(code, max_turns=2, max_tokens=40))
    usage = [event.turn_decoded.usage for event in answer.of("turn_decoded")]
    assert len(usage) == 2
    assert usage[0].prompt_tokens + 300 < usage[1].prompt_tokens < 1024 - usage[1].completion_tokens


async def test_cancelling_while_the_prompt_is_computed_frees_the_sequence(model: LoadedModel) -> None:
    async with running_stack(model) as stack:
        call = stack.client.Complete(asking("word " * 4000), timeout=60)
        assert (await call.read()).WhichOneof("event") == "turn_started"
        began = time.monotonic()
        call.cancel()
        await until(lambda: not stack.decoder.engine.counts()["running"])
    print(f"freed in {(time.monotonic() - began) * 1000:.0f} ms")
