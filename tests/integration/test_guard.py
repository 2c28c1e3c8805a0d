"""Keys, limits and foreign pages, over real HTTP and gRPC, with OpenAI's own client and without."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import openai
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from gateway.guard import callers
from gateway.guard.keys_file import new_key, revoke
from protos.conveyor.decoder.v1 import decoder_pb2
from protos.conveyor.gateway.v1 import gateway_pb2
from protos.rpc.errors import Reason
from tests.integration.test_gateway_service import TURN, FakeDecoder, House, at, failure_of, house, responses_of

SAID: dict[str, Any] = {"messages": [{"role": "user", "content": "Say hello."}], "model": "any"}
WRONG = "ck_" + "w" * 43


@dataclass(slots=True)
class Guarded:
    """A house that wants keys, and the keys of two callers."""

    house: House
    file: Path
    alice: str
    bob: str

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.house.gateway.http_port}"

    def openai(self, key: str) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.http}/v1", api_key=key, max_retries=0)

    def client(self, key: str = "") -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.http, headers=dict(bearer(key)) if key else {})


@contextlib.asynccontextmanager
async def guarded(folder: Path, decoder: FakeDecoder | None = None, **settings: Any) -> AsyncIterator[Guarded]:
    file = folder / "keys"
    keys = {name: new_key(file, name) for name in ("alice", "bob")}
    async with house(decoder, keys_file=str(file), **settings) as running:
        yield Guarded(running, file, **keys)


def bearer(key: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {key}"),)


# --- keys -----------------------------------------------------------------------------------------------------------


async def test_openais_client_is_let_in_with_its_key_and_with_no_other(tmp_path: Path) -> None:
    async with guarded(tmp_path) as running:
        async with running.openai(running.alice) as client:
            answer = await client.chat.completions.create(**SAID)
            assert answer.choices[0].message.content == "search('a') more"
            stream = await client.chat.completions.create(**SAID, stream=True)
            assert [chunk async for chunk in stream]
        async with running.openai(WRONG) as client:
            with pytest.raises(openai.AuthenticationError) as raised:
                await client.chat.completions.create(**SAID)
        assert raised.value.code == "invalid_api_key" and raised.value.type == "authentication_error"
        assert raised.value.response.headers["www-authenticate"] == "Bearer"
        assert len(running.house.decoder.requests) == 2


async def test_two_keys_are_none(tmp_path: Path) -> None:
    async with guarded(tmp_path) as running, running.client() as client:
        good, wrong = bearer(running.alice)[0], bearer(WRONG)[0]
        for shown in ([good, wrong], [wrong, good], [good, good]):
            refused = await client.get("/v1/models", headers=shown)
            assert refused.status_code == 401
            call = running.house.stub.ListTools(gateway_pb2.ListToolsRequest(), metadata=tuple(shown))
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await call
            assert raised.value.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_what_is_refused_has_an_id_as_all_answers_have(tmp_path: Path) -> None:
    async with guarded(tmp_path) as running, running.client() as client:
        refused = [await client.get("/v1/models"), await client.get("/health", headers={"host": "evil.example"})]
        assert [answer.status_code for answer in refused] == [401, 421]
        assert len({answer.headers["x-request-id"] for answer in refused}) == 2
        named = await client.get("/v1/models", headers={"x-request-id": "mine"})
        assert named.headers["x-request-id"] == "mine"
        served = await client.get("/v1/completions", headers=dict(bearer(running.alice)))
        assert served.status_code == 200


async def test_every_answer_says_once_that_its_type_is_not_to_be_guessed(tmp_path: Path) -> None:
    async with guarded(tmp_path, allowed_origins=["https://friend.example"]) as running:
        async with running.client(running.alice) as client:
            asked = [
                *((path, 200) for path in ("/metrics", "/health", "/ready", "/v1/completions", "/", "/page/main.js")),
                *((path, 404) for path in ("/nothing", "/page/nothing", "/v1/completions/nothing")),
                ("/v1/chat/completions", 405),
            ]
            answers = [(await client.get(path), status) for path, status in asked]
            answers.append((await client.post("/v1/chat/completions", json=SAID), 200))
            answers.append((await client.post("/v1/chat/completions", json={**SAID, "stream": True}), 200))
            answers.append((await client.get("/health", headers={"host": "evil.example"}), 421))
            answers.append((await client.get("/health", headers={"x-long": "x" * 40_000}), 431))
            preflight = {"origin": "https://friend.example", "access-control-request-method": "POST"}
            answers.append((await client.options("/v1/completions", headers=preflight), 200))
        async with running.client() as client:
            answers.append((await client.get("/v1/models"), 401))
    for answer, status in answers:
        assert answer.status_code == status, answer.url
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"], answer.url


async def test_without_a_key_there_is_health_and_the_page_and_nothing_else(tmp_path: Path) -> None:
    async with guarded(tmp_path) as running, running.client() as client:
        for path in ("/health", "/ready"):
            assert (await client.get(path)).status_code == 200
        for path in ("/", "/page/page.js"):
            assert (await client.get(path)).status_code != 401
        for path in ("/metrics", "/v1/models", "/v1/nothing", "/nothing", "/health/", "/page"):
            refused = await client.get(path)
            assert refused.status_code == 401, path
            assert refused.json()["error"]["code"] == "invalid_api_key"
        for scheme in ("Basic", "Token"):
            shown = {"authorization": f"{scheme} {running.alice}"}
            assert (await client.get("/metrics", headers=shown)).status_code == 401
        let_in = await client.get("/metrics", headers={"authorization": f"bearer {running.alice}"})
        assert let_in.status_code == 200 and "conveyor_requests_total" in let_in.text


async def test_over_grpc_all_but_health_wants_a_key(tmp_path: Path) -> None:
    async with guarded(tmp_path) as running:
        stub, list_tools = running.house.stub, gateway_pb2.ListToolsRequest()
        for metadata in ((), bearer(WRONG), (("authorization", running.alice),), (("authorization-bin", b"Bearer x"),)):
            error, told = await failure_of(running.house.complete(metadata=metadata))
            assert (error.code(), told.reason) == (grpc.StatusCode.UNAUTHENTICATED, Reason.UNAUTHENTICATED)
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await stub.ListTools(list_tools, metadata=metadata)
            assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert not running.house.decoder.requests
        listing = await stub.ListTools(list_tools, metadata=bearer(running.alice))
        assert [tool.name for tool in listing.tools] == ["python", "search"]
        *_, last = await responses_of(running.house.complete(metadata=bearer(running.bob)))
        assert last.HasField("finished")
        answer = await running.house.health.Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_refused_keys_are_counted_for_both_ways_in_and_none_is_shown(tmp_path: Path) -> None:
    async with guarded(tmp_path) as running, running.client() as client:
        await client.get("/health")
        await client.get("/v1/models")
        await client.get("/v1/models", headers=dict(bearer(WRONG)))
        await failure_of(running.house.complete(metadata=bearer(WRONG)))
        read = (await client.get("/metrics", headers=dict(bearer(running.alice)))).text
    counted = [line for line in read.splitlines() if line.startswith("conveyor_keys_refused_total")]
    expected = [f'conveyor_keys_refused_total{{cause="{cause}"}}' for cause in ("missing", "unknown")]
    assert sorted(counted) == [f"{expected[0]} 1.0", f"{expected[1]} 2.0"]
    assert "ck_" not in read and "alice" not in read


async def test_reflection_wants_a_key(tmp_path: Path) -> None:
    asked = reflection_pb2.ServerReflectionRequest(list_services="")

    async def once() -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
        yield asked

    async with (
        guarded(tmp_path) as running,
        grpc.aio.insecure_channel(f"127.0.0.1:{running.house.gateway.port}") as channel,
    ):
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            _ = [answer async for answer in stub.ServerReflectionInfo(once())]
        assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
        answers = [
            answer async for answer in stub.ServerReflectionInfo(once(), metadata=bearer(running.alice), timeout=10)
        ]
        assert "GatewayService" in str(answers)


async def test_a_key_that_is_revoked_is_refused_without_a_restart_and_what_runs_runs_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callers, "LOOK_SECONDS", 0.0)
    async with guarded(tmp_path, FakeDecoder(script=TURN, hangs=True)) as running:
        begun = running.house.complete(metadata=bearer(running.alice))
        assert await begun.read()
        revoke(running.file, "alice")
        error, _ = await failure_of(running.house.complete(metadata=bearer(running.alice)))
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        async with running.client(running.alice) as client:
            assert (await client.get("/metrics")).status_code == 401
        async with running.client(running.bob) as client:
            assert (await client.get("/metrics")).status_code == 200
        running.house.decoder.release.set()
        while (event := await begun.read()).WhichOneof("event") != "finished":
            assert event is not grpc.aio.EOF


async def test_the_log_says_whose_key_it_was_and_never_the_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with guarded(tmp_path) as running:
        claims = (("x-caller", "mallory"), ("caller", "mallory"))
        await responses_of(running.house.complete(metadata=(*bearer(running.alice), *claims)))
        passed_on = running.house.decoder.metadata
        assert "authorization" not in passed_on and not {"alice", "mallory"} & set(passed_on.values())
        async with running.client() as client:  # by one connection
            sent = await client.post("/v1/chat/completions", json=SAID, headers=dict((*bearer(running.bob), *claims)))
            assert sent.status_code == 200
            assert (await client.get("/v1/models")).status_code == 401
    said = capsys.readouterr().out
    assert running.alice not in said and running.bob not in said and "mallory" not in said
    completed = [line for line in said.splitlines() if "completed" in line]
    assert ["alice" in line for line in completed] == [True, False]
    assert ["bob" in line for line in completed] == [False, True]
    (refused,) = [line for line in said.splitlines() if "refused" in line]
    assert "bob" not in refused


async def test_a_word_on_a_call_is_taken_from_the_key_that_the_completion_runs_under(tmp_path: Path) -> None:
    awaited = at(1.0, approval_awaited=decoder_pb2.ApprovalAwaited(call_id="c", request_id="mine"))
    async with guarded(tmp_path, FakeDecoder(script=[*TURN[:2], awaited], hangs=True)) as running:
        call = running.house.complete(metadata=(*bearer(running.alice), ("x-request-id", "mine")))
        while (await call.read()).WhichOneof("event") != "approval_awaited":
            pass
        word = gateway_pb2.ApproveRequest(request_id="mine", call_id="c", approved=True)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await running.house.stub.Approve(word, metadata=bearer(running.bob))
        assert raised.value.code() is grpc.StatusCode.NOT_FOUND
        await running.house.stub.Approve(word, metadata=bearer(running.alice))
        call.cancel()


# --- limits ---------------------------------------------------------------------------------------------------------


async def test_a_key_has_a_rate_and_is_told_when_it_may_begin_again(tmp_path: Path) -> None:
    async with guarded(tmp_path, requests_per_minute=2) as running:
        async with running.openai(running.alice) as client:
            for _ in range(2):
                await client.chat.completions.create(**SAID)
            with pytest.raises(openai.RateLimitError) as raised:
                await client.chat.completions.create(**SAID)
        assert raised.value.code == "overloaded" and raised.value.type == "rate_limit_error"
        told = int(raised.value.response.headers["retry-after"])
        error, refusal = await failure_of(running.house.complete(metadata=bearer(running.alice)))
        assert (error.code(), refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, Reason.OVERLOADED)
        assert refusal.retry_seconds is not None and 0 < refusal.retry_seconds <= told <= 30
        await responses_of(running.house.complete(metadata=bearer(running.bob)))  # who has a rate of his own


async def test_a_key_has_so_many_completions_at_once_over_http_and_grpc_together(tmp_path: Path) -> None:
    async with guarded(tmp_path, FakeDecoder(script=TURN, hangs=True), max_active_per_key=1) as running:
        begun = running.house.complete(metadata=bearer(running.alice))
        assert await begun.read()
        async with running.openai(running.alice) as client:
            with pytest.raises(openai.RateLimitError, match="1 completions of this caller run") as raised:
                await client.chat.completions.create(**SAID)
            assert raised.value.response.headers["retry-after"] == "1"
        other = running.house.complete(metadata=bearer(running.bob))
        assert await other.read()
        begun.cancel()
        await running.house.decoder.ended.wait()
        running.house.decoder.release.set()
        async with running.openai(running.alice) as client:
            assert (await client.chat.completions.create(**SAID)).choices


async def test_without_keys_all_callers_share_the_limits() -> None:
    async with house(requests_per_minute=1) as running:
        await responses_of(running.complete())
        error, _ = await failure_of(running.complete())
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_metadata_that_are_too_large_fail_their_call_and_the_channel_goes_on() -> None:
    async with house() as running:
        for size in (20_000, 200_000):
            error, _ = await failure_of(running.complete(metadata=(("x-large", "x" * size),)))
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "metadata" in (error.details() or "")
            assert (await responses_of(running.complete(metadata=(("x-large", "x" * 12_000),))))[-1].finished


# --- pages of others ------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def browsing(**settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a house without keys, which is what a page that somebody visits would attack."""
    async with (
        house(**settings) as running,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.gateway.http_port}") as client,
    ):
        yield client


async def test_a_name_that_was_made_to_lead_here_is_refused() -> None:
    async with browsing(allowed_hosts=["gateway.example"]) as client:
        for path in ("/v1/models", "/metrics", "/health"):
            refused = await client.get(path, headers={"host": "evil.example"})
            assert refused.status_code == 421
            assert "gateway.allowed_hosts" in refused.json()["error"]["message"]
        for host in ("localhost:1", "gateway.example"):
            assert (await client.get("/v1/models", headers={"host": host})).status_code == 200


async def test_a_page_of_another_origin_can_neither_send_nor_read() -> None:
    foreign = {"origin": "https://evil.example"}
    async with browsing() as client:
        for headers in (foreign, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
            refused = await client.post("/v1/chat/completions", json=SAID, headers=headers)
            assert refused.status_code == 403
            assert refused.json()["error"]["code"] == "forbidden_origin"
        preflight = {**foreign, "access-control-request-method": "POST"}
        answers = [
            await client.options("/v1/chat/completions", headers=preflight),
            await client.get("/v1/models", headers=foreign),
            await client.get("/health", headers=foreign),
        ]
        for answer in answers:
            assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answers[0].status_code >= 400
        own = await client.post("/v1/chat/completions", json=SAID, headers={"origin": str(client.base_url).rstrip("/")})
        assert own.status_code == 200


async def test_a_page_of_an_origin_that_is_named_can_both_and_reads_why_it_is_refused(tmp_path: Path) -> None:
    page = {"origin": "https://app.example", "sec-fetch-site": "cross-site"}
    async with guarded(tmp_path, allowed_origins=["https://app.example"]) as running, running.client() as client:
        asked = {
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,x-stainless-os",
        }
        preflight = await client.options("/v1/chat/completions", headers={**page, **asked})  # browsers send no key
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == page["origin"]
        assert "authorization" in preflight.headers["access-control-allow-headers"]
        refused = await client.post("/v1/chat/completions", json=SAID, headers=page)
        assert refused.status_code == 401
        sent = await client.post("/v1/chat/completions", json=SAID, headers={**page, **dict(bearer(running.alice))})
        assert sent.status_code == 200
        for answer in (refused, sent):
            assert answer.headers["access-control-allow-origin"] == page["origin"]
            assert "access-control-allow-credentials" not in answer.headers
        other = await client.options("/v1/models", headers={**asked, "origin": "https://evil.example"})
        assert other.status_code == 400 and "access-control-allow-origin" not in other.headers
