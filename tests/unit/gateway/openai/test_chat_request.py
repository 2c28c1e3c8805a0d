"""What the chat endpoint takes, and how it refuses the rest."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.failures import of_validation
from gateway.openai.chat_request import ChatRequest
from gateway.request import Function, Role, parse
from protos.conveyor.gateway.v1 import gateway_pb2 as pb

USER = {"role": "user", "content": "hello"}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [USER], **fields}


def asked(**fields: Any) -> pb.CompleteRequest:
    return ChatRequest.model_validate_json(json.dumps(body(**fields))).complete_request()


def test_the_least_that_a_client_sends_means_what_openai_means():
    request = asked()
    assert request.messages == [pb.Message(role="user", content="hello")]
    assert (request.sampling.temperature, request.limits.max_tokens) == (1.0, 4096)
    assert not request.HasField("tool_use")
    parse(request, 1000)


def test_all_that_is_taken_arrives():
    request = asked(
        temperature=0,
        top_p=0.5,
        seed=7,
        max_completion_tokens=9,
        stop="END",
        tools=[WEATHER, {"type": "conveyor", "name": "python"}],
        tool_choice={"type": "function", "function": {"name": "weather"}},
        conveyor={"mode": "serial", "format": "json", "max_turns": 2, "top_k": 3, "replay": ["x"]},
        n=1,
        logprobs=False,
        parallel_tool_calls=True,
        frequency_penalty=0,
        presence_penalty=0.0,
        logit_bias={},
        store=False,
        user="me",
        metadata={"a": "b"},
        stream=True,
        stream_options={"include_usage": True},
    )
    completion = parse(request, 1000)
    assert completion.sampling.seed == 7 and completion.limits.stop == ("END",)
    use = completion.tool_use
    assert use is not None and use.functions == (Function("weather", "", '{"type": "object"}'),)
    assert (use.tools, use.choice, use.format, use.mode.name) == (("python",), "weather", "json", "SERIAL")
    assert use.stream_arguments and use.stream_content


def test_a_conversation_with_calls_is_read():
    call = {"id": "a", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Kyiv"}'}}
    request = asked(
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "kind."}]},
            USER,
            {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None},
            {"role": "tool", "tool_call_id": "a", "content": "sunny"},
        ]
    )
    messages = parse(request, 1000).messages
    assert [message.role for message in messages] == [Role.SYSTEM, Role.USER, Role.ASSISTANT, Role.TOOL]
    assert messages[0].content == "Be brief.\n\nBe kind."
    assert messages[2].calls[0].arguments_json == '{"city": "Kyiv"}'


@pytest.mark.parametrize(
    ("wish", "schema"),
    [
        ({"type": "text"}, ""),
        ({"type": "json_object"}, '{"type": "object"}'),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "array"}}}, '{"type": "array"}'),
    ],
)
def test_formats_of_answers_are_schemas(wish: dict[str, Any], schema: str):
    assert asked(response_format=wish).response_json_schema == schema


def test_tools_that_may_not_be_called_are_not_read():
    assert not asked(tools=[WEATHER], tool_choice="none").HasField("tool_use")


REFUSED = [
    ({"messages": []}, "messages", "at least 1"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0]", "'system', 'developer', 'user'"),
    ({"messages": [{"role": "user", "content": 1}]}, "messages[0].", "string"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        "messages[0].content[0].type",
        "text",
    ),
    ({"n": 2}, "n", "1"),
    ({"logprobs": True}, "logprobs", "False"),
    ({"top_logprobs": 2}, "top_logprobs", "not supported"),
    ({"frequency_penalty": 0.5}, "frequency_penalty", "0"),
    ({"logit_bias": {"1": 5}}, "logit_bias", "at most 0"),
    ({"parallel_tool_calls": "no"}, "parallel_tool_calls", "boolean"),
    ({"temperature": 3}, "temperature", "less than or equal to 2"),
    ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
    ({"max_tokens": "9"}, "max_tokens", "integer"),
    ({"audio": {}}, "audio", "not supported"),
    ({"tools": [{"type": "custom", "custom": {}}]}, "tools[0]", "'function', 'conveyor'"),
    (
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]},
        "tools[0].function.parameters",
        "object",
    ),
    ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice", "'function', 'conveyor'"),
    ({"response_format": {"type": "xml"}}, "response_format", "'text', 'json_object', 'json_schema'"),
    ({"conveyor": {"mode": "fast"}}, "conveyor.mode", "'serial', 'parallel'"),
    ({"stop": [""]}, "stop", "at least 1"),
]


@pytest.mark.parametrize(("fields", "param", "sentence"), REFUSED)
def test_what_is_not_supported_is_refused_with_its_name(fields: dict[str, Any], param: str, sentence: str):
    sent = json.dumps(body(**fields)).encode()
    with pytest.raises(ValidationError) as raised:
        ChatRequest.model_validate_json(sent)
    failure = of_validation(raised.value, sent)
    assert failure.status == 400
    assert (failure.param or "").startswith(param), failure.param
    assert sentence in failure.message, failure.message
    assert failure.content["error"]["type"] == "invalid_request_error"
