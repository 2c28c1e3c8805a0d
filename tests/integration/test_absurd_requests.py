"""Schemas and limits that no request may have: refused with INVALID_ARGUMENT and the field's name, over gRPC and HTTP,
in no time worth speaking of."""

import json
import math
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx
import pytest

from decoder_service.models.loader import LoadedModel
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.rpc.errors import Reason, from_rpc_error
from tests.integration.stack import Stack, running_stack

pytestmark = pytest.mark.timeout(240)

MOST_SECONDS = 10.0  # far beyond what any takes; what is pathological would take hours
ASKED = [{"role": "user", "content": "Hi."}]

NO_SCHEMAS: dict[str, str] = {
    "no JSON": '{"type": ',
    "no object": "[]",
    "a type that there is not": '{"type": "integr"}',
    "types that are none": '{"type": []}',
    "properties that are no object": '{"type": "object", "properties": []}',
    "a key that stands twice": '{"type": "object", "type": "object"}',
    "a number that is none": '{"type": "integer", "maximum": NaN}',
    "brackets without end": "[" * 100_000,
    "nesting": '{"not": ' * 500 + "true" + "}" * 500,
    "size": json.dumps({"type": "object", "description": "x" * 100_000}),
}
# What a model could be asked to follow and cannot be made to.
NOT_FOLLOWED: dict[str, dict[str, Any]] = {
    "nested repetition": {"type": "string", "pattern": "^((a{1000}){1000}){1000}$"},
    "a reference back": {"type": "string", "pattern": r"^(a+)\1$"},
    "a look behind": {"type": "string", "pattern": "(?<=a)b"},
    "a pattern that is none": {"type": "string", "pattern": "(["},
    "a length without end": {"type": "string", "minLength": 10**12},
}
LINEAR = {"type": "string", "pattern": "^(a+)+$"}  # takes time without end where a matcher goes back


@pytest.fixture
async def stack(small_model: LoadedModel) -> AsyncIterator[Stack]:
    async with running_stack(small_model, context_length=512) as running:
        yield running


def function(schema: str, choice: str = "auto") -> pb.CompleteRequest:
    use = pb.ToolUse(
        format="hermes", functions=[pb.Function(name="look", parameters_json_schema=schema)], choice=choice
    )
    return asking(tool_use=use)


def asking(**fields: Any) -> pb.CompleteRequest:
    limits = fields.pop("limits", pb.Limits(max_tokens=4, max_turns=1))
    return pb.CompleteRequest(messages=[pb.Message(role="user", content="Hi.")], limits=limits, **fields)


async def refused(stack: Stack, request: pb.CompleteRequest, *reasons: Reason) -> str:
    began = time.monotonic()
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stack.complete(request)
    told = from_rpc_error(raised.value, Reason.INTERNAL)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT, told
    assert told.reason in reasons and time.monotonic() - began < MOST_SECONDS
    return told.message


async def refused_by_http(stack: Stack, path: str, body: dict[str, Any]) -> None:
    began = time.monotonic()
    async with httpx.AsyncClient(base_url=stack.http, timeout=60) as http:
        model = {} if path == "/v1/completions" else {"model": "m"}
        answer = await http.post(path, json={**model, **body})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["message"] and time.monotonic() - began < MOST_SECONDS


async def test_what_is_no_schema_is_refused_by_its_field(stack: Stack) -> None:
    for what, schema in NO_SCHEMAS.items():
        told = await refused(stack, function(schema), Reason.INVALID_SCHEMA)
        assert "tool_use.functions[0].parameters_json_schema" in told, what
        told = await refused(stack, asking(response_json_schema=schema), Reason.INVALID_SCHEMA)
        assert "response_json_schema" in told, what
    native = {"messages": ASKED, "response_json_schema": NO_SCHEMAS["a type that there is not"]}
    async with httpx.AsyncClient(base_url=stack.http, timeout=60) as http:
        answer = await http.post("/v1/completions", json=native)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_schema")


async def test_what_no_grammar_can_follow_is_refused_whichever_way_it_comes(stack: Stack) -> None:
    for what, schema in NOT_FOLLOWED.items():
        of = {"type": "object", "properties": {"x": schema}, "required": ["x"], "additionalProperties": False}
        assert await refused(stack, asking(response_json_schema=json.dumps(of)), Reason.INVALID_SCHEMA), what
        assert await refused(stack, function(json.dumps(of), choice="look"), Reason.INVALID_SCHEMA), what
        chat = {"type": "json_schema", "json_schema": {"name": "n", "schema": of}}
        await refused_by_http(stack, "/v1/chat/completions", {"messages": ASKED, "response_format": chat})
        text = {"format": {"type": "json_schema", "name": "n", "schema": of}}
        await refused_by_http(stack, "/v1/responses", {"input": "Hi.", "text": text})


async def test_what_others_take_for_ever_over_is_followed_as_far_as_there_are_tokens(stack: Stack) -> None:
    of = {"type": "object", "properties": {"x": LINEAR}, "required": ["x"], "additionalProperties": False}
    began = time.monotonic()
    await stack.complete(asking(response_json_schema=json.dumps(of)))
    endless = {"type": "array", "minItems": 10**12}  # the answer ends with its tokens
    answer = await stack.complete(asking(response_json_schema=json.dumps({**of, "properties": {"x": endless}})))
    assert answer.finished.finish_reason == pb.FINISH_REASON_LENGTH
    call = '<tool_call>\n{"name": "look", "arguments": {"x": "' + "a" * 120 + '!"}}\n</tool_call>'
    request = function(json.dumps(of))
    request.replay.append(call)
    request.limits.max_tokens = 300
    answer = await stack.complete(request)
    assert time.monotonic() - began < MOST_SECONDS
    assert answer.finished.finish_reason in (pb.FINISH_REASON_CALLS, pb.FINISH_REASON_LENGTH)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"limits": pb.Limits(max_tokens=2**31 - 1)}, Reason.INVALID_LIMIT),
        ({"limits": pb.Limits(max_tokens=-(2**31))}, Reason.INVALID_LIMIT),
        ({"limits": pb.Limits(max_turns=2**31 - 1)}, Reason.INVALID_LIMIT),
        ({"limits": pb.Limits(max_turns=-1)}, Reason.INVALID_LIMIT),
        ({"limits": pb.Limits(stop=["x"] * 10_000)}, Reason.INVALID_LIMIT),
        ({"limits": pb.Limits(stop=["x" * 100_000])}, Reason.INVALID_LIMIT),
        ({"limits": pb.Limits(stop=[""])}, Reason.INVALID_LIMIT),
        ({"sampling": pb.Sampling(temperature=math.nan)}, Reason.INVALID_SAMPLING),
        ({"sampling": pb.Sampling(temperature=math.inf)}, Reason.INVALID_SAMPLING),
        ({"sampling": pb.Sampling(temperature=-1)}, Reason.INVALID_SAMPLING),
        ({"sampling": pb.Sampling(top_p=math.nan)}, Reason.INVALID_SAMPLING),
        ({"sampling": pb.Sampling(top_k=-(2**31))}, Reason.INVALID_SAMPLING),
        ({"replay": ["x"] * 10_000}, Reason.INVALID_REPLAY),
    ],
)
async def test_absurd_limits_are_refused(fields: dict[str, Any], reason: Reason, stack: Stack) -> None:
    assert await refused(stack, asking(**fields), reason)


async def test_absurd_limits_are_refused_over_http(stack: Stack) -> None:
    for fields in (
        {"max_tokens": 2**63},
        {"max_tokens": 0},
        {"max_completion_tokens": -1},
        {"temperature": 1e308},
        {"top_p": -0.1},
        {"stop": ["x"] * 10_000},
        {"stop": "x" * 100_000},
        {"conveyor": {"max_turns": 10**9}},
        {"conveyor": {"top_k": 10**12}},
        {"conveyor": {"replay": ["x"] * 10_000}},
    ):
        await refused_by_http(stack, "/v1/chat/completions", {"messages": ASKED, **fields})
    for fields in ({"max_output_tokens": 2**63}, {"max_output_tokens": 0}, {"temperature": -1}, {"top_p": 2}):
        await refused_by_http(stack, "/v1/responses", {"input": "Hi.", **fields})
    for fields in (
        {"limits": {"max_tokens": 2**40}},
        {"limits": {"max_tokens": 10**6}},
        {"limits": {"stop": ["x"] * 10_000}},
        {"sampling": {"temperature": 1e39}},
        {"sampling": {"seed": 2**64}},
    ):
        await refused_by_http(stack, "/v1/completions", {"messages": ASKED, **fields})
