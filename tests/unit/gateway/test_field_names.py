"""Refusals that the gateway itself makes, in the words of each body."""

from typing import Any

import pytest
from pydantic import BaseModel

from gateway import failures, field_names
from gateway.failures import HttpFailure
from gateway.native.body import CompletionRequest
from gateway.openai.chat_request import ChatRequest
from gateway.openai.responses_request import ResponsesRequest
from gateway.request import parse
from protos.rpc.errors import Reason, ServiceError, reject_field

ASKED = {"role": "user", "content": "Hi"}
MAX_CHARS = 1000
OF_CLIENT = {"name": "a b", "parameters": {"type": "nothing"}}
KINDS: dict[str, tuple[type[BaseModel], dict[str, Any], Any]] = {
    "chat": (ChatRequest, {"model": "m", "messages": [ASKED]}, field_names.CHAT),
    "responses": (ResponsesRequest, {"model": "m", "input": "Hi"}, field_names.RESPONSES),
    "native": (CompletionRequest, {"messages": [ASKED]}, ()),
}


def refusal(kind: str, fields: dict[str, Any]) -> HttpFailure:
    body, rest, names = KINDS[kind]
    with pytest.raises(ServiceError) as raised:
        parse(body(**{**rest, **fields}).complete_request(), MAX_CHARS)  # type: ignore[attr-defined]
    return field_names.named(failures.of_service(raised.value), names)


def function(**fields: object) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "look", **fields}}


def called(arguments: str) -> list[dict[str, Any]]:
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": arguments}}
    answer = {"role": "tool", "content": "x", "tool_call_id": "c"}
    return [ASKED, {"role": "assistant", "tool_calls": [call]}, answer]


NO_SCHEMA = {"name": "n", "schema": {"type": "nothing"}}


@pytest.mark.parametrize(
    ("kind", "fields", "param", "begin"),
    [
        ("chat", {"tools": [function(name="a b")]}, "tools", "tools (functions[0].name) is 'a b'; "),
        ("chat", {"tools": [function(parameters={"type": "no"})]}, "tools", "tools (functions[0].parameters) names "),
        (
            "chat",
            {"tools": [function(), function()]},
            "tools",
            "tools (functions[1].name) is 'look', a name that is taken; ",
        ),
        (
            "chat",
            {"tools": [function()], "tool_choice": {"type": "function", "function": {"name": "b"}}},
            "tool_choice",
            "tool_choice is 'b'; ",
        ),
        ("chat", {"stop": ["a"] * 9}, "stop", "stop has 9 entries; "),
        ("chat", {"stop": ["a", "b" * 300]}, "stop", "stop[1] has 300 characters; "),
        (
            "chat",
            {"conveyor": {"replay": ["a"] * 5}},
            "conveyor.replay",
            "conveyor.replay has 5 entries, one for each turn, and max_turns is 4.",
        ),
        ("chat", {"conveyor": {"replay": ["a", ""]}}, "conveyor.replay[1]", "conveyor.replay[1] is empty; "),
        (
            "chat",
            {"response_format": {"type": "json_schema", "json_schema": NO_SCHEMA}},
            "response_format",
            "response_format names ",
        ),
        (
            "chat",
            {"tools": [function()], "response_format": {"type": "json_object"}},
            "response_format",
            "response_format cannot be combined with tools; ",
        ),
        (
            "chat",
            {"messages": [ASKED, {"role": "tool", "content": "x", "tool_call_id": "tool_use.format"}]},
            "messages",
            "a message's tool_call_id is 'tool_use.format'; ",
        ),
        (
            "chat",
            {"messages": called('{"a": 1, "a": 2}')},
            "messages",
            "a message's function.arguments ",
        ),
        (
            "chat",
            {"messages": [*called("{}")[:2], ASKED]},
            "messages",
            "a message calls 'c', and no 'tool' message after it ",
        ),
        ("chat", {"messages": [{**ASKED, "content": "x" * 1001}]}, "messages", "messages have 1001 characters; "),
        ("chat", {"messages": [ASKED, {"role": "assistant", "content": "x"}]}, "messages", "a message's role is "),
        ("responses", {"input": " "}, "input", "input: a message's content is blank; "),
        ("responses", {"tools": [{"type": "function", **OF_CLIENT}]}, "tools", "tools (functions[0].name) is 'a b'; "),
        (
            "responses",
            {"text": {"format": {"type": "json_schema", **NO_SCHEMA}}},
            "text.format",
            "text.format names ",
        ),
        ("native", {"messages": [{"role": "x"}]}, "messages[0].role", "messages[0].role is 'x'; "),
        ("native", {"tool_use": {}}, "tool_use.tools", "tool_use.tools is empty; "),
        ("native", {"limits": {"max_tokens": -1}}, "limits.max_tokens", "limits.max_tokens is -1; "),
        ("native", {"response_json_schema": "{"}, "response_json_schema", "response_json_schema is no valid JSON"),
        ("native", {"messages": [ASKED, {**ASKED, "role": "system"}]}, "messages[1].role", "messages[1].role is "),
    ],
)
def test_a_refusal_names_the_field_of_the_body_that_was_sent(
    kind: str, fields: dict[str, Any], param: str, begin: str
) -> None:
    failure = refusal(kind, fields)
    assert (failure.status, failure.param) == (400, param)
    assert failure.message.startswith(begin), failure.message


def test_what_is_about_no_field_stays_as_it_is() -> None:
    for reason in (Reason.OVERLOADED, Reason.INTERNAL, Reason.INVALID_SCHEMA):
        failure = failures.of_service(ServiceError(reason, "messages are too many", retry_seconds=2.0))
        assert failure.param is None and field_names.named(failure, field_names.CHAT) is failure


@pytest.mark.parametrize(
    ("field", "chat", "responses"),
    [
        ("messages", ("messages", "messages"), ("input", "input: messages")),
        ("tool_use.functions[3]", ("tools", "tools (functions[3])"), ("tools", "tools (functions[3])")),
        (
            "response_json_schema",
            ("response_format", "response_format"),
            ("text.format", "text.format"),
        ),
        ("of.the.contract", ("of.the.contract", "of.the.contract"), ("of.the.contract", "of.the.contract")),
    ],
)
def test_what_a_service_behind_refuses_is_said_of_the_bodys_field(
    field: str, chat: tuple[str, str], responses: tuple[str, str]
) -> None:
    with pytest.raises(ServiceError) as raised:
        reject_field(Reason.INVALID_SCHEMA, field, "is wrong")
    for (param, words), names in ((chat, field_names.CHAT), (responses, field_names.RESPONSES)):
        failure = field_names.named(failures.of_service(raised.value), names)
        assert (failure.param, failure.message) == (param, f"{words} is wrong")
