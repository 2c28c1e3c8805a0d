"""The document, and the route that gives it."""

import functools
import json
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import prometheus_client
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import handling
from gateway.native.body import CompletionRequest, Word
from gateway.openai.chat_request import ChatRequest
from gateway.openai.responses_request import ResponsesRequest
from gateway.openapi.answers import ANSWERS, Schema, named, one_of

PATH = "/openapi.json"
BODIES = (ChatRequest, ResponsesRequest, CompletionRequest, Word)
JSON = "application/json"
EVENTS = "text/event-stream"
_REF = "#/components/schemas/{model}"

# What the guard may say before any route is asked, and the connection before that.
_ANYWHERE = {
    400: "The request is wrong.",
    401: "An API key is missing or wrong.",
    403: "Pages of this origin may not ask.",
    408: "The request did not come in time.",
    421: "The host is not one of ours.",
    431: "The headers are too large.",
    503: "The gateway drains, has as many connections as it may, or cannot reach decoder or tools.",
}
_WITH_BODY = {413: "The body is too large."}
_OF_COMPLETIONS = {
    429: "As many completions run as may, or the key has had its share; `retry-after` says when to try again.",
    499: "The completion was cancelled.",
    500: "A bug; the log has it under the request's id.",
    504: "The deadline has passed.",
}
_UNKNOWN = {404: "There is no such completion, or it is not kept any longer."}

Operation = dict[str, Any]


@functools.cache
def document() -> str:
    """OpenAPI 3.2 as JSON: the first that can say what each event of a stream is."""
    return json.dumps(
        {
            "openapi": "3.2.0",
            "info": {
                "title": "Conveyor",
                "version": metadata.version("conveyor"),
                "summary": "LLM serving in which a tool starts while the model is still decoding its call.",
            },
            "security": [{}, {"key": []}],
            "paths": _paths(),
            "components": {
                "schemas": _schemas(),
                "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            },
        }
    )


def route() -> Route:
    """The route that gives it."""

    async def show(_request: Request) -> Response:
        return Response(document(), media_type=JSON)

    return Route(PATH, handling.telling(show), methods=["GET"])


def _schemas() -> dict[str, Schema]:
    _, defined = models_json_schema([(body, "validation") for body in BODIES], ref_template=_REF)
    return {**defined["$defs"], **ANSWERS}


def _paths() -> dict[str, dict[str, Any]]:
    one = "/v1/completions/{id}"
    return {
        "/v1/chat/completions": {"post": _chat()},
        "/v1/responses": {"post": _response()},
        "/v1/models": {"get": _get("The model that is served.", "ModelsAnswer", {500: "A bug.", 504: "Too late."})},
        "/v1/tools": {"get": _get("Tools and formats of calls.", "ToolsAnswer", {500: "A bug.", 504: "Too late."})},
        "/v1/completions": {"post": _start(), "get": _recent()},
        one: {"parameters": [_id()], "get": _show(), "delete": _forget()},
        f"{one}/events": {"parameters": [_id()], "get": _events()},
        f"{one}/cancel": {"parameters": [_id()], "post": _cancel()},
        f"{one}/approve": {"parameters": [_id()], "post": _approve()},
        "/health": {"get": _get("The process is alive.", "HealthAnswer")},
        "/ready": {"get": _ready()},
        "/metrics": {"get": _metrics()},
        PATH: {"get": _get("This document.", None)},
    }


def _chat() -> Operation:
    return {
        "summary": "A chat completion, streamed or whole.",
        "requestBody": _body("ChatRequest"),
        "responses": {"200": _whole_or_streamed("ChatAnswer", "EventOfChat"), **_failures(_WITH_BODY, _OF_COMPLETIONS)},
    }


def _response() -> Operation:
    return {
        "summary": "A response, streamed or whole.",
        "requestBody": _body("ResponsesRequest"),
        "responses": {
            "200": _whole_or_streamed("ResponseAnswer", "EventOfResponse"),
            **_failures(_WITH_BODY, _OF_COMPLETIONS),
        },
    }


def _start() -> Operation:
    location = {"description": "Where it is.", "schema": {"type": "string"}, "required": True}
    return {
        "summary": "Starts a completion, which runs on whether or not anybody listens.",
        "requestBody": _body("CompletionRequest"),
        "responses": {
            "201": _answer("It runs.", "StartedAnswer", headers={"location": location}),
            **_failures(_WITH_BODY, _OF_COMPLETIONS),
        },
    }


def _recent() -> Operation:
    return {
        "summary": "The newest completions, however they were asked for.",
        "parameters": [_query("limit", "How many, at most.", 1000)],
        "responses": {"200": _answer("Newest first.", "SummariesAnswer"), **_failures({500: "A bug."})},
    }


def _show() -> Operation:
    form = {
        "name": "format",
        "in": "query",
        "description": "`perfetto`: its timeline, for ui.perfetto.dev.",
        "schema": one_of("json", "perfetto"),
    }
    content = {JSON: {"schema": {"anyOf": [named("CompletionAnswer"), named("TraceAnswer")]}}}
    return {
        "summary": "All of one: summary, request, events.",
        "parameters": [form],
        "responses": {"200": _described("It.", content), **_failures(_UNKNOWN, {500: "A bug."})},
    }


def _forget() -> Operation:
    return {
        "summary": "Stops it, and keeps nothing of it.",
        "responses": {"204": _described("It is gone."), **_failures(_UNKNOWN, {500: "A bug."})},
    }


def _events() -> Operation:
    last = {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "As `after`, which it goes before; empty, as if it were not there.",
        "schema": {"type": "string", "pattern": "^[0-9]{0,9}$"},
    }
    return {
        "summary": "Its events behind the first N as server-sent events, until it has ended.",
        "parameters": [_query("after", "How many are known.", 10**9 - 1), last],
        "responses": {
            "200": _described("Events.", _events_of("EventOfCompletion")),
            "204": _described("It has ended, and no event is behind the first N."),
            **_failures(_UNKNOWN, {500: "A bug."}),
        },
    }


def _cancel() -> Operation:
    return {
        "summary": "Stops all of the work behind it, whoever asked for it.",
        "responses": {"200": _answer("As it stands.", "Summary"), **_failures(_UNKNOWN, {500: "A bug."})},
    }


def _approve() -> Operation:
    return {
        "summary": "Allows or refuses a call that waits for it.",
        "requestBody": _body("Word"),
        "responses": {
            "204": _described("It was passed on."),
            **_failures(_WITH_BODY, {404: "No such completion, or no call of it waits."}, {500: "A bug."}),
        },
    }


def _ready() -> Operation:
    # What is not ready says so in the same words.
    not_ready = {JSON: {"schema": {"anyOf": [named("ReadyAnswer"), named("ErrorAnswer")]}}}
    return {
        "summary": "Whether completions are welcome.",
        "responses": {
            **_failures(),
            "200": _answer("They are.", "ReadyAnswer"),
            "503": _described("They are not.", not_ready),
        },
    }


def _metrics() -> Operation:
    kind = prometheus_client.CONTENT_TYPE_LATEST
    return {
        "summary": "Metrics in Prometheus' text format.",
        "responses": {"200": _described("Metrics.", {kind: {"schema": {"type": "string"}}}), **_failures()},
    }


def _get(summary: str, answer: str | None, failures: Mapping[int, str] = {}) -> Operation:
    content = {JSON: {"schema": {"type": "object"} if answer is None else named(answer)}}
    return {"summary": summary, "responses": {"200": _described(summary, content), **_failures(failures)}}


def _id() -> dict[str, Any]:
    # A name with a slash in it is another path.
    text = {"type": "string", "minLength": 1, "pattern": "^[^/]+$"}
    return {"name": "id", "in": "path", "required": True, "description": "The request's id.", "schema": text}


def _query(name: str, description: str, most: int) -> dict[str, Any]:
    number = {"type": "integer", "minimum": 0, "maximum": most}
    return {"name": name, "in": "query", "description": description, "schema": number}


def _body(name: str) -> dict[str, Any]:
    return {"required": True, "content": {JSON: {"schema": named(name)}}}


def _whole_or_streamed(name: str, event: str) -> dict[str, Any]:
    content = {JSON: {"schema": named(name)}, **_events_of(event)}
    return _described("Whole, or with `stream` as server-sent events.", content)


def _events_of(name: str) -> dict[str, Any]:
    return {EVENTS: {"itemSchema": named(name)}}


def _answer(description: str, name: str, headers: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return _described(description, {JSON: {"schema": named(name)}}, headers)


def _failures(*more: Mapping[int, str]) -> dict[str, dict[str, Any]]:
    every: dict[int, str] = dict(_ANYWHERE)
    for each in more:
        every |= each
    content = {JSON: {"schema": named("ErrorAnswer")}}
    return {str(status): _described(text, content) for status, text in sorted(every.items())}


def _described(
    description: str, content: Mapping[str, Any] | None = None, headers: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    shown: dict[str, Any] = {"description": description}
    if content:
        shown["content"] = content
    if headers:
        shown["headers"] = headers
    return shown
