"""TLS and mutual TLS over real sockets: all hops, the command line, and certificates that are renewed."""

import asyncio
import json
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from decoder_service.models.loader import LoadedModel
from gateway.cli.credentials import Credentials
from gateway.cli.failure import Failure
from gateway.cli.gateway_http import get
from gateway.cli.processes import Service, Services
from gateway.guard.keys_file import new_key
from gateway.http import HttpServer
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.rpc.channel import open_channel
from protos.rpc.server import Server
from protos.rpc.tls import NO_TLS, PeerTls
from tests.certificates import Authority, Pair
from tests.integration.commands import conveyor
from tests.integration.stack import running_stack

CALL = "I compute it.\n```python\nprint(6 * 7)\n```\n"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def client_context(authority: Authority, pair: Pair | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.ca)
    if pair is not None:
        context.load_cert_chain(pair.cert, pair.key)
    return context


async def health(address: str, tls: PeerTls) -> str:
    """What a server says of its health, or the details of the failure."""
    async with open_channel(address, tls) as channel:
        try:
            stub = health_pb2_grpc.HealthStub(channel)
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
        except grpc.aio.AioRpcError as error:
            return error.details() or error.code().name
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


@pytest.mark.timeout(240)
async def test_a_completion_runs_over_mutual_tls_on_every_hop(
    small_model: LoadedModel, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key(tmp_path / "keys", "alice")
    settings = {"keys_file": str(tmp_path / "keys")}
    turns = tmp_path / "turns.json"
    turns.write_text(f'[{CALL!r}, "It is 42."]'.replace("'", '"'))
    async with running_stack(small_model, authority=authority, gateway_settings=settings) as stack:
        request = pb.CompleteRequest(
            messages=[pb.Message(role="user", content="What is 6 * 7?")],
            tool_use=pb.ToolUse(format="code_block", tools=["python"]),
            replay=[CALL, "It is 42."],
        )
        call = stack.client.Complete(request, timeout=60, metadata=(("authorization", f"Bearer {key}"),))
        events = [event async for event in call]
        assert [event.call_finished.result.strip() for event in events if event.HasField("call_finished")] == ["42"]
        assert events[-1].HasField("finished")

        client = authority.pair("someone")
        async with httpx.AsyncClient(verify=client_context(authority, client), base_url=stack.http) as http:
            body = {
                "model": "any",
                "messages": [{"role": "user", "content": "Say hello."}],
                "conveyor": {"replay": ["Hello there!"]},
            }
            answer = await http.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"})
            assert answer.json()["choices"][0]["message"]["content"] == "Hello there!"
            assert (await http.post("/v1/chat/completions", json=body)).status_code == 401
        async with httpx.AsyncClient(verify=client_context(authority), base_url=stack.http) as http:
            with pytest.raises((httpx.ReadError, httpx.ConnectError, httpx.RemoteProtocolError)):
                await http.get("/health")  # without a certificate

        asked = ["ask", "--gateway", stack.grpc, "--tools", "python", "--replay", str(turns), "--json", "6 * 7?"]
        shown = ["--ca", authority.ca, "--client-cert", client.cert, "--client-key", client.key]
        monkeypatch.setenv("CONVEYOR_API_KEY", key)
        status, output, errors = await conveyor(*asked, *shown)
        assert (status, '"result": "42' in output) == (0, True), errors
        status, _, errors = await conveyor(*asked)
        assert status == 1 and "--ca" in errors
        traced = ["trace", "--gateway-http", stack.http.removeprefix("https://"), *shown]
        listed = (await conveyor(*traced))[1].splitlines()
        assert [line.split()[2] for line in listed[1:]] == ["finished"] * 3
        watched = ["--gateway-http", stack.http, "--decoder-metrics", "127.0.0.1:1", "--tool-metrics", "127.0.0.1:1"]
        status, output, errors = await conveyor("top", "--once", "--interval", "0.1", "--json", *watched, *shown)
        assert (status, json.loads(output)["services"][0]["away"]) == (0, None), errors

        monkeypatch.setenv("CONVEYOR_API_KEY", new_key(tmp_path / "keys", "bob"))
        async with asyncio.timeout(10):
            while (answer := await conveyor(*traced))[0]:  # the file is looked at once a second
                assert "CONVEYOR_API_KEY" in answer[2]
        assert answer[1].startswith("no completions yet")  # of his own
        status, _, errors = await conveyor("trace", events[-1].finished.request_id, *traced[1:])
        assert status == 1 and "there is no completion" in errors
        monkeypatch.setenv("CONVEYOR_API_KEY", "ck_wrong")
        status, _, errors = await conveyor(*asked, *shown)
        assert status == 1 and "UNAUTHENTICATED" in errors and "CONVEYOR_API_KEY" in errors


async def test_who_shows_no_certificate_or_a_strangers_is_not_served(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "stranger")
    other = stranger.pair("other")
    server = Server("127.0.0.1:0", lambda _: None, [], tls=authority.server("server"))
    await server.start()
    await server.ready()
    address = f"127.0.0.1:{server.port}"
    assert await health(address, authority.peer("client")) == "SERVING"
    for tls in (
        NO_TLS,
        PeerTls(ca=authority.ca),
        PeerTls(ca=authority.ca, cert=other.cert, key=other.key),
        PeerTls(ca=stranger.ca, cert=other.cert, key=other.key),
    ):
        assert await health(address, tls) != "SERVING"
    await server.stop(0)


async def test_a_certificate_must_name_whom_it_is_shown_for(authority: Authority) -> None:
    server = Server("127.0.0.1:0", lambda _: None, [], tls=authority.server("s", names=("tools",), mutual=False))
    await server.start()
    await server.ready()
    address = f"127.0.0.1:{server.port}"
    assert "Hostname Verification Check failed" in await health(address, PeerTls(ca=authority.ca))
    assert await health(address, PeerTls(ca=authority.ca, name="tools")) == "SERVING"
    await server.stop(0)


async def test_certificates_are_renewed_while_a_server_runs(
    authority: Authority, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tls, client = authority.server("server"), authority.pair("client")
    server = Server("127.0.0.1:0", lambda _: None, [], tls=tls)
    await server.start()
    await server.ready()
    http = HttpServer("127.0.0.1:0", _nothing, tls=tls)
    await http.start()
    (tmp_path / "next").mkdir()
    renewing = Authority(tmp_path / "next")
    pair = renewing.pair("server")

    async def vouched_for(by: Authority) -> list[bool]:
        shown = PeerTls(ca=by.ca, cert=client.cert, key=client.key)
        over_grpc = await health(f"127.0.0.1:{server.port}", shown) == "SERVING"
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", http.port, ssl=client_context(by, client))
            writer.close()
        except ssl.SSLCertVerificationError:
            return [over_grpc, False]
        return [over_grpc, True]

    async def needs_no_certificate(by: Authority) -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", http.port, ssl=client_context(by))
        writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        try:
            return bool(await reader.read(1))
        except ssl.SSLError as error:
            assert "CERTIFICATE_REQUIRED" in str(error)
            return False
        finally:
            writer.close()

    assert await vouched_for(authority) == [True, True]
    assert not await needs_no_certificate(authority)
    Path(tls.cert).write_bytes(Path(pair.cert).read_bytes())  # the key is still the old one
    assert await vouched_for(authority) == [True, True]
    assert "is not the private key of" in capsys.readouterr().out
    Path(tls.key).write_bytes(Path(pair.key).read_bytes())
    assert await vouched_for(authority) == [False, False]
    assert await vouched_for(renewing) == [True, True]
    assert not await needs_no_certificate(renewing)
    await http.stop()
    await server.stop(0)


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2])
async def test_a_session_from_before_the_authorities_changed_is_not_resumed(
    authority: Authority, tmp_path: Path, newest: ssl.TLSVersion
) -> None:
    tls = authority.server("server")
    http = HttpServer("127.0.0.1:0", _nothing, tls=tls)
    await http.start()
    context = client_context(authority, authority.pair("client"))
    context.maximum_version = newest

    def ask(session: ssl.SSLSession | None = None) -> ssl.SSLSession | None:
        """The session; raises where it is not served."""
        with (
            socket.create_connection(("127.0.0.1", http.port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=session) as client,
        ):
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            if not client.recv(1000).startswith(b"HTTP/1.1 "):
                raise ConnectionError("it was closed without an answer")
            assert not client.session_reused
            return client.session

    if newest is ssl.TLSVersion.TLSv1_2:
        with pytest.raises(ssl.SSLError):
            await asyncio.to_thread(ask)
    else:
        session = await asyncio.to_thread(ask)
        assert session is None or not session.has_ticket
        (tmp_path / "next").mkdir()
        Path(tls.client_ca).write_bytes(Path(Authority(tmp_path / "next", "other").ca).read_bytes())
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.to_thread(ask, session)
    await http.stop()


async def test_a_key_is_not_sent_in_the_clear_to_whom_an_authority_was_named_for(authority: Authority) -> None:
    shown = Credentials(tls=PeerTls(ca=authority.ca))
    with pytest.raises(ValueError, match="say https://"):
        await get("http://127.0.0.1:1", "/metrics", shown)


async def test_services_that_are_started_do_not_hold_the_callers_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVEYOR_API_KEY", "ck_secret")
    program = "import os; print(sorted(name for name in os.environ if name.startswith('CONVEYOR_API')), 'x' * 2)"
    services = Services([Service("one", (sys.executable, "-c", program), "127.0.0.1:1")], tmp_path)
    await services.start()
    with pytest.raises(Failure, match="exit code 0"):
        await services.wait_ended()
    await services.stop()
    assert (tmp_path / "one.log").read_text() == "[] xx\n"


async def test_the_probe_of_containers_asks_over_tls(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server("127.0.0.1:0", lambda _: None, [], tls=authority.server("server"))
    await server.start()
    await server.ready()
    address, client = f"127.0.0.1:{server.port}", authority.pair("client")
    options = ["--ca", authority.ca, "--client-cert", client.cert, "--client-key", client.key]
    assert await _probe(address, *options) == (0, "SERVING\n")
    status, said = await _probe(address)
    assert status == 1 and said.startswith("UNAVAILABLE")
    status, said = await _probe(address, *options[:-1], authority.ca)
    assert status == 1 and authority.ca in said
    for variable, value in zip(("CA", "CLIENT_CERT", "CLIENT_KEY"), options[1::2], strict=True):
        monkeypatch.setenv(f"CONVEYOR_{variable}", value)
    assert await _probe(address) == (0, "SERVING\n")
    await server.stop(0)


async def _probe(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "protos.rpc.probe", *arguments]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stdout


async def _nothing(_scope: object, _receive: object, _send: object) -> None: ...
