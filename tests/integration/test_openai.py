"""OpenAI's own client against the gateway: chat completions, streamed and whole, with tools of both sides."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from decoder_service.models.loader import LoadedModel
from tests.integration.stack import Stack, running_stack

pytestmark = pytest.mark.timeout(240)

MODEL = "gpt-4o-mini"  # any name means the one that is served
ASKED = {"role": "user", "content": "What is the weather in Kyiv?"}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Say what the weather is like.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Kyiv \\"centre\\"", "days": 2}}\n</tool_call>'
ARGUMENTS = {"city": 'Kyiv "centre"', "days": 2}


def function(name: str, type_: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"type": type_, "properties": properties}}}


@pytest.fixture
async def stack(any_model: LoadedModel) -> AsyncIterator[Stack]:
    async with running_stack(any_model) as running:
        yield running


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{stack.http}/v1", api_key="any", max_retries=0) as made:
        yield made


def replaying(*turns: str, **fields: Any) -> dict[str, Any]:
    return {"conveyor": {"replay": turns, "max_turns": len(turns), **fields}}


async def test_a_chat_is_answered_whole(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Say hello."}], extra_body=replaying("Hello there!")
    )
    [choice] = answer.choices
    assert (choice.message.content, choice.message.role, choice.finish_reason) == ("Hello there!", "assistant", "stop")
    assert answer.usage is not None and answer.usage.total_tokens > answer.usage.prompt_tokens
    assert answer.object == "chat.completion" and answer.id.startswith("chatcmpl-")
    assert answer.model_extra is not None and answer.model_extra["conveyor"]["ledger"]["completion_seconds"] > 0


async def test_a_chat_is_streamed_with_its_usage_last(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Say hello."}],
        stream=True,
        stream_options={"include_usage": True},
        extra_body=replaying("Hello there, my friend!"),
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == "Hello there, my friend!"
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]][-1] == "stop"
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].choices == [] and chunks[-1].usage is not None and chunks[-1].usage.completion_tokens > 3


async def test_a_function_of_the_client_is_called_and_answered(client: openai.AsyncOpenAI) -> None:
    first = await client.chat.completions.create(
        model=MODEL,
        messages=[ASKED],
        tools=[WEATHER],
        extra_body=replaying(f"Let me look. {CALL}"),  # type: ignore[list-item]
    )
    [choice] = first.choices
    assert choice.finish_reason == "tool_calls"
    assert (choice.message.content or "").strip() == "Let me look."
    [call] = choice.message.tool_calls or ()
    assert call.type == "function" and call.function.name == "weather"
    assert json.loads(call.function.arguments) == ARGUMENTS
    second = await client.chat.completions.create(
        model=MODEL,
        messages=[ASKED, choice.message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}],  # type: ignore[list-item]
        tools=[WEATHER],  # type: ignore[list-item]
        extra_body=replaying("It is sunny."),
    )
    assert second.choices[0].message.content == "It is sunny."
    assert second.choices[0].finish_reason == "stop"


async def test_calls_are_streamed_with_their_index_and_id_and_argument_by_argument(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model=MODEL,
        messages=[ASKED],  # type: ignore[list-item]
        tools=[WEATHER],  # type: ignore[list-item]
        stream=True,
        extra_body=replaying(f"{CALL}\n{CALL}"),
    )
    calls: dict[int, list[Any]] = {}
    reasons = []
    async for chunk in stream:
        for part in chunk.choices[0].delta.tool_calls or ():
            calls.setdefault(part.index, []).append(part)
        reasons.append(chunk.choices[0].finish_reason)
    assert reasons[-1] == "tool_calls"
    assert list(calls) == [0, 1]
    for parts in calls.values():
        assert parts[0].function.name == "weather" and not any(part.id for part in parts[1:])
        assert json.loads("".join(part.function.arguments or "" for part in parts)) == ARGUMENTS
        assert len(parts) > 4  # while they were written
    assert calls[0][0].id != calls[1][0].id


async def test_a_tool_of_the_service_runs_there_and_its_result_is_told_beside_the_answer(
    client: openai.AsyncOpenAI,
) -> None:
    call = '<tool_call>\n{"name": "calculator", "arguments": {"expression": "6 * 7"}}\n</tool_call>'
    answer = await client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "What is 6 * 7?"}],
        tools=[{"type": "conveyor", "name": "calculator"}],  # type: ignore[list-item]
        extra_body=replaying(call, "It is 42."),
    )
    assert (answer.choices[0].message.content or "").strip() == "It is 42."
    assert answer.choices[0].message.tool_calls is None
    assert answer.model_extra is not None
    [told] = answer.model_extra["conveyor"]["calls"]
    assert (told["name"], told["result"], json.loads(told["arguments"])) == (
        "calculator",
        "42",
        {"expression": "6 * 7"},
    )


async def test_an_answer_follows_a_schema(client: openai.AsyncOpenAI) -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer", "maximum": 99}}, "required": ["age"]}
    answer = await client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "How old is a cat?"}],
        response_format={"type": "json_schema", "json_schema": {"name": "age", "schema": schema}},
        max_tokens=100,
        temperature=0,
    )
    assert isinstance(json.loads(answer.choices[0].message.content or "")["age"], int)


async def test_the_model_is_listed(client: openai.AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == [(await client.models.list()).data[0].id]


async def test_a_user_may_say_two_things_in_a_row(client: openai.AsyncOpenAI) -> None:
    said = [ASKED, {"role": "user", "content": "And in Kyiv?"}]
    answers = [
        await client.chat.completions.create(model=MODEL, messages=messages, max_tokens=4, temperature=0)  # type: ignore[arg-type]
        for messages in (said[:1], said)
    ]
    asked = [answer.usage.prompt_tokens for answer in answers if answer.usage]
    assert len(asked) == 2 and asked[0] < asked[1]


async def test_what_is_wrong_is_said_in_openais_shape(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        await client.chat.completions.create(model=MODEL, messages=[ASKED], n=3)  # type: ignore[list-item]
    assert raised.value.param == "n"
    with pytest.raises(openai.BadRequestError) as raised:
        await client.chat.completions.create(
            model=MODEL,
            messages=[ASKED],  # type: ignore[list-item]
            stream=True,
            tools=[{"type": "conveyor", "name": "nothing"}],  # type: ignore[list-item]
        )
    assert raised.value.code == "unknown_tool" and "calculator" in str(raised.value)
    assert raised.value.param == "tools" and "tool_use" not in str(raised.value)
    odd = function("look", "string", {})
    with pytest.raises(openai.BadRequestError) as raised:  # two services behind
        await client.chat.completions.create(model=MODEL, messages=[ASKED], tools=[odd])  # type: ignore[list-item]
    assert raised.value.param == "tools" and "tools (functions[0]), 'look', cannot be offered: " in str(raised.value)
    odd = function("look", "object", {"size": {"type": "integer", "multipleOf": 1_000_003}})
    with pytest.raises(openai.BadRequestError) as raised:
        await client.chat.completions.create(
            model=MODEL,
            messages=[ASKED],  # type: ignore[list-item]
            tools=[odd],  # type: ignore[list-item]
            tool_choice="required",
        )
    assert raised.value.param == "tools" and "'look', argument 'size': multipleOf" in str(raised.value)


async def test_what_is_too_long_no_json_or_not_there_is_refused(stack: Stack) -> None:
    async with httpx.AsyncClient(base_url=stack.http) as http:
        long = await http.post("/v1/chat/completions", content=b" " * (9 * 2**20))
        broken = await http.post("/v1/chat/completions", content=b'{"model": ')
        absent = await http.get("/v1/embeddings")
        wrong = await http.get("/v1/chat/completions")
    assert (absent.status_code, absent.json()["error"]["code"]) == (404, "unknown_url")
    assert (wrong.status_code, wrong.json()["error"]["message"]) == (
        405,
        "/v1/chat/completions takes POST, and not GET",
    )
    assert (long.status_code, long.json()["error"]["code"]) == (413, "too_large")
    assert broken.status_code == 400 and "JSON" in broken.json()["error"]["message"]


async def test_a_client_that_leaves_frees_its_sequence(stack: Stack, client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model=MODEL,
        messages=[ASKED],
        stream=True,
        max_tokens=2000,
        extra_body=replaying("on and on " * 900),  # type: ignore[list-item]
    )
    first = await anext(aiter(stream))
    assert isinstance(first, ChatCompletionChunk)
    assert stack.decoder.engine.counts()["running"] == 1
    await stream.close()
    await until_idle(stack)


async def until_idle(stack: Stack) -> None:
    async with asyncio.timeout(20):
        while any(stack.decoder.engine.counts().values()):  # noqa: ASYNC110 - the engine tells it by its reports
            await asyncio.sleep(0.005)


BROKEN = '<tool_call>\n{"name": "weather", "arguments": {"city": "Ky" oops}}\n</tool_call>'


async def test_a_call_that_is_not_whole_is_the_clients_too_and_the_conversation_goes_on(
    client: openai.AsyncOpenAI,
) -> None:
    first = await client.chat.completions.create(
        model=MODEL,
        messages=[ASKED],  # type: ignore[list-item]
        tools=[WEATHER],  # type: ignore[list-item]
        extra_body=replaying(f"{CALL}\n{BROKEN}", "Never said."),
    )
    [choice] = first.choices
    assert choice.finish_reason == "tool_calls"
    good, bad = choice.message.tool_calls or ()
    assert good.type == bad.type == "function" and json.loads(good.function.arguments) == ARGUMENTS
    assert bad.function.arguments.startswith('{"city": "Ky')
    answers = [{"role": "tool", "tool_call_id": call.id, "content": "?"} for call in (good, bad)]
    second = await client.chat.completions.create(
        model=MODEL,
        messages=[ASKED, choice.message, *answers],  # type: ignore[list-item]
        tools=[WEATHER],  # type: ignore[list-item]
        extra_body=replaying("Sorry."),
    )
    assert second.choices[0].message.content == "Sorry."


async def test_a_client_that_leaves_before_a_whole_answer_frees_its_sequence(stack: Stack) -> None:
    body = {"model": MODEL, "messages": [ASKED], "max_tokens": 2000, **replaying("on and on " * 900)}
    async with httpx.AsyncClient(base_url=stack.http, timeout=60) as http:
        asking = asyncio.create_task(http.post("/v1/chat/completions", json=body))
        async with asyncio.timeout(20):
            while not stack.decoder.engine.counts()["running"]:  # noqa: ASYNC110 - the engine tells it by its reports
                await asyncio.sleep(0.005)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await until_idle(stack)


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"max_tokens": 2**40}, 400, "max_tokens"),
        ({"conveyor": {"max_turns": 2**40}}, 400, "conveyor.max_turns"),
        ({"tool_choice": "required"}, 400, "tool_choice"),
        ({"stream_options": {"include_usage": True}}, 400, "stream_options"),
        ({"messages": [1] * 10_000}, 400, "messages"),
    ],
)
async def test_what_would_mean_nothing_is_refused(
    stack: Stack, fields: dict[str, Any], status: int, param: str
) -> None:
    async with httpx.AsyncClient(base_url=stack.http) as http:
        answer = await http.post("/v1/chat/completions", json={"model": MODEL, "messages": [ASKED], **fields})
        deep = await http.post("/v1/chat/completions", content=b'{"model": "m", "messages": ' + b"[" * 100_000)
    assert (answer.status_code, answer.json()["error"]["param"][: len(param)]) == (status, param)
    assert deep.status_code == 413


@pytest.mark.parametrize("call_format", ["code_block", "plan"])
async def test_earlier_calls_are_read_in_formats_that_write_none_such(
    client: openai.AsyncOpenAI, call_format: str
) -> None:
    tool = {"code_block": "python", "plan": "plan"}[call_format]
    call = {"id": "a", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    answer = await client.chat.completions.create(
        model=MODEL,
        messages=[
            ASKED,
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "a", "content": "x"},
        ],  # type: ignore[list-item]
        tools=[{"type": "conveyor", "name": tool}],  # type: ignore[list-item]
        extra_body=replaying("Fine.", format=call_format),
    )
    assert answer.choices[0].message.content == "Fine."


async def test_the_client_that_does_not_await_is_served_alike(stack: Stack) -> None:
    """Chat and responses, streamed and whole."""

    def ask() -> list[str]:
        with openai.OpenAI(base_url=f"{stack.http}/v1", api_key="any", max_retries=0) as client:
            said = {"extra_body": replaying("Hello there!")}
            messages = [{"role": "user", "content": "Say hello."}]
            whole = client.chat.completions.create(model=MODEL, messages=messages, **said)  # type: ignore[call-overload]
            chunks = client.chat.completions.create(model=MODEL, messages=messages, stream=True, **said)  # type: ignore[call-overload]
            response = client.responses.create(model=MODEL, input="Say hello.", **said)  # type: ignore[call-overload]
            events = client.responses.create(model=MODEL, input="Say hello.", stream=True, **said)  # type: ignore[call-overload]
            return [
                whole.choices[0].message.content,
                "".join(chunk.choices[0].delta.content or "" for chunk in chunks),
                response.output_text,
                "".join(event.delta for event in events if event.type == "response.output_text.delta"),
            ]

    assert await asyncio.to_thread(ask) == ["Hello there!"] * 4


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_turn_has_one_call_where_the_client_wants_no_more(client: openai.AsyncOpenAI, streamed: bool) -> None:
    asked: dict[str, Any] = {"model": MODEL, "messages": [ASKED], "tools": [WEATHER], "parallel_tool_calls": False}
    body = {"extra_body": replaying(f"{CALL}\n{CALL}\n" + "and more " * 200)}
    if streamed:
        chunks = [chunk async for chunk in await client.chat.completions.create(**asked, **body, stream=True)]
        parts = [part for chunk in chunks for part in chunk.choices[0].delta.tool_calls or ()]
        assert {part.index for part in parts} == {0}
        assert json.loads("".join(part.function.arguments or "" for part in parts)) == ARGUMENTS
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks).strip() == ""
        assert chunks[-1].choices[0].finish_reason == "tool_calls"
    else:
        answer = await client.chat.completions.create(**asked, **body)
        [call] = answer.choices[0].message.tool_calls
        assert json.loads(call.function.arguments) == ARGUMENTS
        assert answer.choices[0].finish_reason == "tool_calls"
        assert answer.usage.completion_tokens < 200  # the turn was ended there


async def test_hosted_calls_come_one_a_turn_too(client: openai.AsyncOpenAI) -> None:
    python = '<tool_call>\n{"name": "python", "arguments": {"code": "print(6 * 7)"}}\n</tool_call>'
    answer = await client.responses.create(
        model=MODEL,
        input="Compute.",
        tools=[{"type": "code_interpreter", "container": {"type": "auto"}}],
        parallel_tool_calls=False,
        extra_body=replaying(python * 3 + "and more " * 100, "It is 42."),
    )
    assert [item.type for item in answer.output] == ["code_interpreter_call", "message", "message"]
    assert answer.output_text.endswith("It is 42.") and "<tool_call>" not in answer.output_text
    assert answer.parallel_tool_calls is False
