"""Completions over HTTP that outlive whoever asked for them: started, followed, resumed, cancelled, kept, forgotten."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from decoder_service.models.loader import LoadedModel
from gateway.native import routes
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from tests.integration.stack import Stack, running_stack

pytestmark = pytest.mark.timeout(240)

CODE = "```python\nprint(6 * 7)\n```"
USING = {"format": "code_block", "tools": ["python"], "mode": "partial", "choice": "auto", "stream_arguments": True}


@pytest.fixture
async def stack(model: LoadedModel) -> AsyncIterator[Stack]:
    async with running_stack(model, step_seconds=0.002) as running:
        yield running


@pytest.fixture
async def http(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stack.http, timeout=60) as client:
        yield client


def asking(*replay: str, **fields: Any) -> dict[str, Any]:
    limits = {"max_turns": len(replay), "max_tokens": 2000}
    return {"messages": [{"role": "user", "content": "Go on."}], "replay": replay, "limits": limits, **fields}


async def started(http: httpx.AsyncClient, body: dict[str, Any], **headers: str) -> str:
    answer = await http.post("/v1/completions", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    request_id = answer.json()["id"]
    assert (
        answer.headers["location"] == f"/v1/completions/{request_id}" and answer.headers["x-request-id"] == request_id
    )
    return str(request_id)


async def events(http: httpx.AsyncClient, request_id: str, after: int = 0, most: int = 10**9) -> list[dict[str, Any]]:
    """What the stream says behind `after`, `most` events of it at most; each with its number and kind."""
    seen: list[dict[str, Any]] = []
    event: dict[str, Any] = {}
    async with http.stream("GET", f"/v1/completions/{request_id}/events", params={"after": after}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for line in answer.aiter_lines():
            name, _, value = line.partition(": ")
            if line:
                event[name] = json.loads(value) if name == "data" else value
            elif "data" in event:
                assert event["event"] in event["data"]
                seen.append(event)
                event = {}
                if len(seen) == most:
                    break
    return seen


def text_of(seen: list[dict[str, Any]]) -> str:
    return "".join(event["data"]["text_delta"]["text"] for event in seen if event["event"] == "text_delta")


async def test_a_completion_is_followed_and_looked_at_again(http: httpx.AsyncClient) -> None:
    body = asking(CODE, "It is 42.", tool_use=USING)
    request_id = await started(http, body, **{"x-request-id": "mine-1"})
    assert request_id == "mine-1"
    seen = await events(http, request_id)
    assert [int(event["id"]) for event in seen] == list(range(1, len(seen) + 1))
    assert text_of(seen) == CODE + "It is 42."
    assert seen[-1]["event"] == "finished"
    [call] = [event["data"]["call_finished"] for event in seen if event["event"] == "call_finished"]
    assert call["result"] == "42\n" and call["busy_seconds"] > 0

    assert await events(http, request_id) == seen
    whole = (await http.get(f"/v1/completions/{request_id}")).json()
    assert [event["data"] for event in seen] == whole["events"]
    assert whole["state"] == "finished" and whole["finish_reason"] == "stop" and whole["error"] is None
    assert whole["request"]["tool_use"]["mode"] == "partial" and whole["request"]["replay"] == [*body["replay"]]
    assert whole["ledger"]["completion_seconds"] > 0 and "attained" in whole["ledger"]
    [listed] = (await http.get("/v1/completions")).json()["completions"]
    assert listed == {name: value for name, value in whole.items() if name not in ("request", "events")}
    assert listed["prompt"] == "Go on." and listed["tools"] == ["python"]
    trace = (await http.get(f"/v1/completions/{request_id}", params={"format": "perfetto"})).json()
    assert {event["name"] for event in trace["traceEvents"] if event["ph"] == "X"} >= {"turn 0", "turn 1", "python"}


async def test_it_goes_on_while_nobody_listens_and_is_resumed_where_it_was_left(http: httpx.AsyncClient) -> None:
    replay = "word " * 40
    request_id = await started(http, asking(replay))
    first = await events(http, request_id, most=20)
    assert (await http.get(f"/v1/completions/{request_id}")).json()["state"] == "running"
    rest = await events(http, request_id, after=int(first[-1]["id"]))
    assert text_of(first + rest) == replay
    path = f"/v1/completions/{request_id}/events"
    for query, header, begin in (("", "20", 21), ("?after=1", "20", 21), ("?after=20", "", 21), ("", "", 1)):
        by_header = await http.get(path + query, headers={"last-event-id": header})
        assert by_header.text.startswith(f"id: {begin}\n"), (query, header)
    wrong = await http.get(f"{path}?after=x", headers={"last-event-id": "20"})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "after")
    count = len(first + rest)
    for after in (count, count + 1):
        nothing = await http.get(path, headers={"last-event-id": str(after)})
        assert (nothing.status_code, nothing.content) == (204, b"")  # a browser asks no more


async def test_completions_of_others_are_there_too(http: httpx.AsyncClient, stack: Stack) -> None:
    request = pb.CompleteRequest(messages=[pb.Message(role="user", content="By gRPC.")], replay=["Yes."])
    answered = await stack.complete(request)
    body = {"model": "m", "messages": [{"role": "user", "content": "By HTTP."}], "conveyor": {"replay": ["Also."]}}
    assert (await http.post("/v1/chat/completions", json=body)).status_code == 200
    listed = (await http.get("/v1/completions")).json()["completions"]
    assert [each["prompt"] for each in listed] == ["By HTTP.", "By gRPC."]
    assert listed[1]["id"] == answered.finished.request_id
    assert text_of(await events(http, listed[1]["id"])) == "Yes."
    assert len((await http.get("/v1/completions", params={"limit": 1})).json()["completions"]) == 1


async def test_cancelling_ends_it_for_whoever_asked_and_whoever_follows(http: httpx.AsyncClient, stack: Stack) -> None:
    request_id = await started(http, asking("word " * 1500))
    following = asyncio.create_task(events(http, request_id))
    await events(http, request_id, most=5)
    answer = await http.post(f"/v1/completions/{request_id}/cancel")
    assert answer.json()["state"] == "failed" and answer.json()["error"]["code"] == "cancelled"
    seen = await following
    assert seen[-1]["event"] == "failed" and seen[-1]["data"]["failed"]["code"] == "cancelled"
    count = len(seen)
    assert seen[-1]["id"] == str(count) and await events(http, request_id, after=count - 1) == seen[-1:]
    assert (await http.get(f"/v1/completions/{request_id}/events?after={count}")).status_code == 204
    assert (await http.post(f"/v1/completions/{request_id}/cancel")).json() == answer.json()

    call = stack.client.Complete(
        pb.CompleteRequest(messages=[pb.Message(role="user", content="Hi")], replay=["word " * 400]),
        metadata=(("x-request-id", "by-grpc"),),
    )
    await call.read()
    assert (await http.post("/v1/completions/by-grpc/cancel")).status_code == 200
    with pytest.raises(
        (asyncio.CancelledError, grpc.aio.AioRpcError)
    ):  # grpc.aio tells of a peer's CANCELLED by either
        while await call.read() is not grpc.aio.EOF:
            pass
    assert await call.code() is grpc.StatusCode.CANCELLED


async def test_forgetting_leaves_nothing_of_it(http: httpx.AsyncClient) -> None:
    ended, running = await started(http, asking("Yes.")), await started(http, asking("word " * 1500))
    await events(http, ended)
    following = asyncio.create_task(events(http, running))
    await events(http, running, most=3)
    for request_id in (ended, running):
        assert (await http.delete(f"/v1/completions/{request_id}")).status_code == 204
        for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/events"), ("POST", "/cancel")):
            answer = await http.request(method, f"/v1/completions/{request_id}{path}")
            assert answer.status_code == 404 and answer.json()["error"]["code"] == "not_found"
    assert (await following)[-1]["event"] == "failed"
    assert (await http.get("/v1/completions")).json() == {"completions": []}


async def test_two_tries_of_one_id_are_cancelled_and_forgotten_together(http: httpx.AsyncClient) -> None:
    for method, path in (("POST", "/cancel"), ("DELETE", "")):
        for _ in range(2):
            await started(http, asking("word " * 1500), **{"x-request-id": "twice"})
        await events(http, "twice", most=3)
        short = asking("Yes.", limits={"max_turns": 1, "max_tokens": 10})  # there is room beside the others
        await started(http, short, **{"x-request-id": "twice"})
        await events(http, "twice")  # the newest ends first
        assert (await http.request(method, f"/v1/completions/twice{path}")).is_success
        async with asyncio.timeout(20):
            while "conveyor_requests_running 0.0" not in (await http.get("/metrics")).text:
                pass
    assert (await http.get("/v1/completions/twice")).status_code == 404


async def test_a_long_one_is_shown_in_pieces(http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "_EVENTS_AT_ONCE", 16)
    request_id = await started(http, asking("word " * 40))
    seen = await events(http, request_id)
    assert len(seen) > 2 * routes._EVENTS_AT_ONCE
    answer = await http.get(f"/v1/completions/{request_id}")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["events"] == [event["data"] for event in seen]


async def test_a_file_that_lets_us_down_is_told_as_such(model: LoadedModel, tmp_path: Path) -> None:
    file = tmp_path / "completions.sqlite3"
    async with (
        running_stack(model, gateway_settings={"completions_file": str(file)}) as stack,
        httpx.AsyncClient(base_url=stack.http, timeout=60) as http,
    ):
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("ALTER TABLE completions RENAME TO elsewhere")
            for method, path in (("GET", ""), ("GET", "/a"), ("GET", "/a/events"), ("DELETE", "/a")):
                answer = await http.request(method, f"/v1/completions{path}")
                assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
                assert answer.json()["error"]["code"] == "store_unavailable"
                assert str(file) not in answer.text
            other.execute("ALTER TABLE elsewhere RENAME TO completions")
        assert (await http.get("/v1/completions/a")).status_code == 404


async def test_what_cannot_be_served_is_told_at_once_or_in_the_stream(http: httpx.AsyncClient) -> None:
    async def refused(body: object) -> tuple[int, str, str]:
        answer = await http.post("/v1/completions", json=body)
        error = answer.json()["error"]
        assert answer.headers["x-request-id"]
        return answer.status_code, error["code"], error["message"]

    status, code, message = await refused({"messages": [{"role": "user", "content": "x"}], "temperature": 1})
    assert (status, code) == (400, "invalid_value") and message.startswith("temperature: ")
    status, code, message = await refused(asking("x", tool_use={**USING, "mode": "fast"}))
    assert (status, code) == (400, "invalid_value") and message.startswith("tool_use.mode: ")
    assert (await refused(asking("x", tool_use={**USING, "tools": ["nope"]})))[:2] == (400, "unknown_tool")
    assert (await refused({"messages": []}))[:2] == (400, "empty_prompt")
    assert (await refused(asking("x", sampling={"top_k": 2**40})))[0] == 400
    assert (await http.post("/v1/completions", content=b"{")).json()["error"]["code"] == "invalid_json"
    unknown = await http.post("/v1/completions", json=asking("x", tool_use={**USING, "format": "nope"}))
    assert unknown.json()["error"]["param"] == "tool_use.format"
    assert (await http.get("/v1/completions?limit=many")).json()["error"]["param"] == "limit"
    request_id = await started(http, {"messages": [{"role": "user", "content": "word " * 20_000}]})
    for after in ("-1", "x", "9" * 20):
        answer = await http.get(f"/v1/completions/{request_id}/events", params={"after": after})
        assert answer.status_code == 400 and answer.json()["error"]["param"] == "after"
    [failed] = await events(http, request_id)
    told = failed["data"]["failed"]
    assert (told["code"], told["param"]) == ("prompt_too_long", "messages")
    assert (await http.get(f"/v1/completions/{request_id}")).json()["error"] == told


async def test_what_there_is_not_is_said_with_what_there_is(http: httpx.AsyncClient) -> None:
    answer = await http.put("/v1/completions/a")
    assert answer.status_code == 405 and answer.headers["allow"] == "DELETE, GET, HEAD"
    answer = await http.get("/nothing")
    assert answer.status_code == 404 and "/v1/completions/{id}/events" in answer.json()["error"]["message"]
    tools = (await http.get("/v1/tools")).json()
    assert {"python", "plan", "calculator"} <= {tool["name"] for tool in tools["tools"]}
    assert "code_block" in {form["name"] for form in tools["formats"]}
