"""Items of a response's input as the messages of a conversation."""

import json
from typing import Any

from gateway.openai.responses_request import ResponsesRequest

ASK = {"role": "user", "content": "?"}


def words(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


def call(call_id: str) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}"}


def output(call_id: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": call_id.upper()}


def ran(call_id: str) -> dict[str, Any]:
    return {"type": "mcp_call", "id": call_id, "name": "h", "arguments": "{}", "output": call_id.upper()}


def read(*items: dict[str, Any]) -> list[str]:
    """Each message: the first letter of its role, its text, and the calls that it has or answers."""
    sent = json.dumps({"model": "m", "input": [ASK, *items]})
    messages = ResponsesRequest.model_validate_json(sent).complete_request().messages
    return [
        f"{m.role[0]}:{m.content}:{''.join(c.call_id for c in m.calls)}{m.call_id}".replace("\n", "+")
        for m in messages[1:]
    ]


def test_words_and_calls_that_follow_one_another_are_one_turns():
    assert read(words("x"), call("a"), call("b"), output("b"), output("a")) == ["a:x:ab", "t:B:b", "t:A:a"]
    assert read(words("x"), call("a"), words("y"), call("b"), output("a"), output("b")) == [
        "a:x+y:ab",
        "t:A:a",
        "t:B:b",
    ]
    assert read(call("a"), words("x"), output("a")) == ["a:x:a", "t:A:a"]


def test_what_ran_in_the_service_is_answered_with_the_rest_of_its_turn():
    assert read(call("a"), ran("h"), call("b"), output("a"), output("b")) == ["a::ahb", "t:H:h", "t:A:a", "t:B:b"]


def test_what_follows_answers_is_another_turn():
    assert read(call("a"), output("a"), call("b"), output("b")) == ["a::a", "t:A:a", "a::b", "t:B:b"]
    assert read(ran("h"), words("x")) == ["a::h", "t:H:h", "a:x:"]
    assert read(words("x"), ASK, words("y")) == ["a:x:", "u:?:", "a:y:"]


def test_instructions_and_messages_of_the_system_that_begin_are_one():
    body = {"model": "m", "instructions": "one", "input": [{"role": "developer", "content": "two"}, ASK]}
    first, second = ResponsesRequest.model_validate_json(json.dumps(body)).complete_request().messages
    assert (first.role, first.content, second.role) == ("system", "one\n\ntwo", "user")
