"""The published document holds: schemathesis asks what it allows and what it does not, over the real services."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate
from schemathesis.checks import CHECKS
from schemathesis.generation import GenerationMode

from decoder_service.models.loader import LoadedModel
from gateway import page
from gateway.openapi.document import document
from tests.integration.stack import Stack, running_stack

pytestmark = pytest.mark.timeout(300)


HI = [{"role": "user", "content": "Hi."}]
CONTEXT = 96  # tokens: what is asked for at random must not take long
CHECKED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "unsupported_method",
)
# What follows from more than one field no schema says: the order of messages, what a replay may have.
MEANING = frozenset(("/v1/chat/completions", "/v1/responses", "/v1/completions", "/v1/completions/{id}/approve"))


@pytest.fixture
async def stack(small_model: LoadedModel) -> AsyncIterator[Stack]:
    async with running_stack(small_model, context_length=CONTEXT) as running:
        yield running


def test_the_document_is_openapi() -> None:
    validate(json.loads(document()))


async def test_every_route_is_in_the_document_and_nothing_else(stack: Stack) -> None:
    async with httpx.AsyncClient(base_url=stack.http) as http:
        published = (await http.get("/openapi.json")).json()
    assert published == json.loads(document())
    described = {
        (path, method) for path, item in published["paths"].items() for method in item if method != "parameters"
    }
    served = {
        (route.path, method.lower())
        for route in stack.gateway.routes
        for method in route.methods or ()
        if method != "HEAD" and route not in page.routes  # which are for people
    }
    assert described == served


async def ask(stack: Stack, examples: int) -> None:
    """Raises what schemathesis finds."""
    schema = schemathesis.openapi.from_dict(json.loads(document()))
    for result in schema.get_all_operations():
        known = await begun(stack)  # for each, for one of them deletes it
        await asyncio.to_thread(ask_one, stack.http, result.ok(), examples, known)


async def begun(stack: Stack) -> str:
    """The id of a completion that is there."""
    body = {"messages": HI, "replay": ["Hello."], "limits": {"max_turns": 1}}
    async with httpx.AsyncClient(base_url=stack.http) as http:
        return str((await http.post("/v1/completions", json=body)).json()["id"])


def ask_one(address: str, operation: Any, examples: int, known: str) -> None:
    """Asks as the document allows, and as it does not where it asks for anything."""
    accepted = () if operation.path in MEANING else ("positive_data_acceptance",)
    generated(address, operation, GenerationMode.POSITIVE, (*CHECKED, *accepted), examples, known)
    if operation.body or operation.query or operation.headers:
        negative = (*CHECKED, "negative_data_rejection")
        generated(address, operation, GenerationMode.NEGATIVE, negative, examples, known)


def generated(
    address: str, operation: Any, mode: GenerationMode, names: tuple[str, ...], examples: int, known: str
) -> None:
    checks = list(CHECKS.get_by_names(list(names)))

    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), knows=st.booleans())
    def one(case: Any, knows: bool) -> None:
        if knows and "id" in (case.path_parameters or {}):
            case.path_parameters["id"] = known
        case.call_and_validate(base_url=address, checks=checks, timeout=60)

    one()


async def test_schemathesis_finds_nothing(stack: Stack) -> None:
    await ask(stack, examples=8)


async def test_events_are_what_the_document_says(stack: Stack) -> None:
    known = await begun(stack)
    streamed = {
        "/v1/chat/completions": {"model": "any", "messages": HI, "max_tokens": 4, "stream": True},
        "/v1/responses": {"model": "any", "input": "Hi.", "max_output_tokens": 20, "stream": True},
    }
    schema = schemathesis.openapi.from_dict(json.loads(document()))
    cases = [schema[path]["POST"].Case(body=body, media_type="application/json") for path, body in streamed.items()]
    cases.append(schema["/v1/completions/{id}/events"]["GET"].Case(path_parameters={"id": known}))
    checks = list(CHECKS.get_by_names(["response_schema_conformance"]))
    for case in cases:
        response = await asyncio.to_thread(case.call_and_validate, base_url=stack.http, checks=checks, timeout=60)
        assert response.headers["content-type"][0].startswith("text/event-stream"), response.text


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_schemathesis_finds_nothing_at_length(stack: Stack) -> None:
    await ask(stack, examples=300)
