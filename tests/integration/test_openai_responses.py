"""OpenAI's own client against the gateway: responses, streamed and whole, with tools of both sides."""

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from decoder_service.models.loader import LoadedModel
from tests.integration.stack import running_stack

pytestmark = pytest.mark.timeout(240)

MODEL = "gpt-4o-mini"
WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "Say what the weather is like.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Kyiv", "days": [1, 2]}}\n</tool_call>'
CODE = '<tool_call>\n{"name": "python", "arguments": {"code": "x = 6 * 7\\nprint(x)\\n"}}\n</tool_call>'
SUM = '<tool_call>\n{"name": "calculator", "arguments": {"expression": "6 * 7"}}\n</tool_call>'


@pytest.fixture
async def client(any_model: LoadedModel) -> AsyncIterator[openai.AsyncOpenAI]:
    async with (
        running_stack(any_model) as stack,
        openai.AsyncOpenAI(base_url=f"{stack.http}/v1", api_key="any", max_retries=0) as made,
    ):
        yield made


def replaying(*turns: str, **fields: Any) -> dict[str, Any]:
    return {"conveyor": {"replay": turns, "max_turns": len(turns), **fields}}


async def ask(client: openai.AsyncOpenAI, *turns: str, **fields: Any) -> Any:
    fields = {"model": MODEL, "input": "Please answer.", **fields}
    return await client.responses.create(**fields, extra_body=replaying(*turns))


async def test_a_response_is_given_whole(client: openai.AsyncOpenAI) -> None:
    response = await ask(client, "Hello there!", instructions="Be brief.", metadata={"a": "b"})
    assert (response.output_text, response.status, response.object) == ("Hello there!", "completed", "response")
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens > 0
    assert (response.instructions, response.metadata) == ("Be brief.", {"a": "b"})
    assert response.model_extra["conveyor"]["ledger"]["completion_seconds"] > 0


async def test_events_are_numbered_and_each_item_is_opened_and_closed(client: openai.AsyncOpenAI) -> None:
    stream = await ask(client, f"Let me look. {CALL}", tools=[WEATHER], stream=True)
    events = [event async for event in stream]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:3] == ["response.created", "response.in_progress", "response.output_item.added"]
    assert kinds[-1] == "response.completed"
    assert kinds.count("response.output_item.added") == kinds.count("response.output_item.done") == 2
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text.strip() == "Let me look."
    arguments = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    assert json.loads("".join(arguments)) == {"city": "Kyiv", "days": [1, 2]} and len(arguments) > 3
    [call] = [item for item in events[-1].response.output if item.type == "function_call"]
    assert (call.name, json.loads(call.arguments), call.status) == (
        "weather",
        {"city": "Kyiv", "days": [1, 2]},
        "completed",
    )


async def test_a_function_is_called_and_answered_with_the_items_sent_back(client: openai.AsyncOpenAI) -> None:
    asked = {"role": "user", "content": "What is the weather?"}
    first = await ask(client, f"Let me look. {CALL}", tools=[WEATHER], input=[asked])
    [call] = [item for item in first.output if item.type == "function_call"]
    answer = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    back = [item.model_dump(exclude_none=True) for item in first.output]
    second = await ask(client, "It is sunny.", tools=[WEATHER], input=[asked, *back, answer])
    assert second.output_text == "It is sunny."


async def test_code_runs_in_the_service_and_is_an_item_with_its_output(client: openai.AsyncOpenAI) -> None:
    tools = [{"type": "code_interpreter", "container": {"type": "auto"}}]
    stream = await ask(client, CODE, "It is 42.", tools=tools, stream=True)
    events = [event async for event in stream]
    kinds = [event.type for event in events]
    for kind in ("in_progress", "interpreting", "completed"):
        assert f"response.code_interpreter_call.{kind}" in kinds
    code = "".join(event.delta for event in events if event.type == "response.code_interpreter_call_code.delta")
    assert code == "x = 6 * 7\nprint(x)\n"
    ran, said = events[-1].response.output
    assert (ran.type, ran.code, ran.status, ran.outputs[0].logs) == ("code_interpreter_call", code, "completed", "42\n")
    assert said.content[0].text == "It is 42."
    back = [item.model_dump(exclude_none=True) for item in (ran, said)]
    again = await ask(
        client, "Still 42.", input=[{"role": "user", "content": "?"}, *back, {"role": "user", "content": "Sure?"}]
    )
    assert again.output_text == "Still 42."


async def test_other_tools_of_the_service_are_items_in_the_shape_of_mcp_calls(client: openai.AsyncOpenAI) -> None:
    response = await ask(client, SUM, "It is 42.", tools=[{"type": "conveyor", "name": "calculator"}])
    ran, said = response.output
    assert (ran.type, ran.name, ran.output, ran.status) == ("mcp_call", "calculator", "42", "completed")
    assert json.loads(ran.arguments) == {"expression": "6 * 7"}
    assert said.content[0].text == "It is 42."


async def test_an_answer_that_is_cut_off_is_incomplete(client: openai.AsyncOpenAI) -> None:
    response = await ask(client, "one two three four five six seven eight", max_output_tokens=3)
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert response.output[0].status == "incomplete"


async def test_an_answer_follows_a_schema(client: openai.AsyncOpenAI) -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer", "maximum": 99}}, "required": ["age"]}
    response = await client.responses.create(
        model=MODEL,
        input="How old is a cat?",
        text={"format": {"type": "json_schema", "name": "age", "schema": schema}},
        max_output_tokens=100,
        temperature=0,
    )
    assert isinstance(json.loads(response.output_text)["age"], int)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"store": True}, "store"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"tools": [{"type": "mcp", "server_label": "a", "server_url": "http://x"}]}, "tools[0]"),
        ({"reasoning": {"effort": "high"}}, "reasoning.effort"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "conveyor", "name": "nothing"}]}, "tools"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, "input"),
    ],
)
async def test_what_is_not_supported_is_refused_with_its_name(
    client: openai.AsyncOpenAI, fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        await ask(client, "Hello", **fields)
    assert (raised.value.param or "").startswith(param), raised.value.param
