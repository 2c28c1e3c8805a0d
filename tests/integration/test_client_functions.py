"""Functions that the client runs, through the three real services."""

import json

import pytest

from decoder_service.models.loader import LoadedModel
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from tests.integration.stack import Answer, Stack, running_stack

pytestmark = pytest.mark.timeout(240)

ASKED = pb.Message(role="user", content="What is the weather in Kyiv, and what is 6 * 7?")
WEATHER = pb.Function(
    name="weather",
    description="Say what the weather is like.",
    parameters_json_schema='{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}',
)
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Kyiv"}}\n</tool_call>'
USE = {"format": "hermes", "functions": [WEATHER]}


async def ask(stack: Stack, *messages: pb.Message, replay: str, **use: object) -> Answer:
    return await stack.complete(
        pb.CompleteRequest(
            messages=[ASKED, *messages],
            tool_use=pb.ToolUse(**{**USE, **use}),  # type: ignore[arg-type]
            replay=[replay],
            limits=pb.Limits(max_tokens=120),
        )
    )


async def test_the_completion_ends_with_the_call_and_goes_on_with_what_the_client_found(model: LoadedModel) -> None:
    async with running_stack(model) as stack:
        first = await ask(stack, replay=CALL, stream_arguments=True)
        [call] = first.calls
        assert call.WhichOneof("outcome") == "handed_over"
        assert json.loads(call.arguments_json) == {"city": "Kyiv"}
        assert "".join(event.arguments_delta.text for event in first.of("arguments_delta")) == "Kyiv"
        assert first.finished.finish_reason == pb.FINISH_REASON_CALLS
        said = pb.SaidCall(call_id="a", name="weather", arguments_json=call.arguments_json)
        second = await ask(
            stack,
            pb.Message(role="assistant", calls=[said]),
            pb.Message(role="tool", call_id="a", content="18 degrees, sunny"),
            replay="It is sunny, 18 degrees.",
        )
    assert second.text == "It is sunny, 18 degrees."
    assert second.finished.finish_reason == pb.FINISH_REASON_STOP
    usage = first.finished.usage
    assert second.finished.usage.prompt_tokens > usage.prompt_tokens + usage.completion_tokens
    assert second.finished.usage.cached_tokens > usage.prompt_tokens  # the call is written as the model wrote it


async def test_a_tool_of_the_service_in_the_same_turn_runs(model: LoadedModel) -> None:
    replay = f'{CALL}\n<tool_call>\n{{"name": "calculator", "arguments": {{"expression": "6 * 7"}}}}\n</tool_call>'
    async with running_stack(model) as stack:
        answer = await ask(stack, replay=replay, tools=["calculator"])
    assert [call.WhichOneof("outcome") for call in sorted(answer.calls, key=lambda call: call.call_id)] == [
        "handed_over",
        "result",
    ]
    assert answer.finished.finish_reason == pb.FINISH_REASON_CALLS


async def test_a_required_call_of_one_is_written_by_any_model(model: LoadedModel) -> None:
    async with running_stack(model) as stack:
        answer = await stack.complete(
            pb.CompleteRequest(
                messages=[ASKED],
                tool_use=pb.ToolUse(format="hermes", functions=[WEATHER], choice="weather"),
                limits=pb.Limits(max_tokens=120),
            )
        )
    [call] = answer.calls
    assert call.WhichOneof("outcome") == "handed_over" and isinstance(json.loads(call.arguments_json)["city"], str)


async def test_earlier_calls_are_read_where_there_are_no_tools_any_more(model: LoadedModel) -> None:
    said = pb.SaidCall(call_id="a", name="weather", arguments_json='{"city": "Kyiv"}')
    async with running_stack(model) as stack:
        answer = await stack.complete(
            pb.CompleteRequest(
                messages=[
                    ASKED,
                    pb.Message(role="assistant", content="Let me look.", calls=[said]),
                    pb.Message(role="tool", call_id="a", content="sunny"),
                    pb.Message(role="user", content="Thanks."),
                ],
                replay=["You are welcome."],
            )
        )
    assert answer.text == "You are welcome."
