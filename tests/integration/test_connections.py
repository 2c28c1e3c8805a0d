"""HTTP clients that are slow, say too much, or come in crowds: raw bytes over real sockets."""

import asyncio
import contextlib
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from gateway.guard.accepting import TOLD
from gateway.guard.connections import MAX_HEADER_BYTES, ConnectionLimits
from gateway.guard.gate import guarded
from gateway.guard.hosts import Hosts
from gateway.http import HttpServer
from protos.conveyor.decoder.v1 import decoder_pb2
from protos.conveyor.gateway.v1 import gateway_pb2
from protos.rpc.errors import Reason
from tests.certificates import Authority
from tests.integration.test_gateway_service import SECRET, FakeDecoder, at, failure_of, house
from tests.integration.window import closed_window

BOUND = 20.0  # for what comes soon, unless it never comes
QUICK = ConnectionLimits(receive_seconds=0.3)
HEAD = b"POST /echo HTTP/1.1\r\nHost: localhost\r\n"


class Served:
    """A server with an application that reads its requests' bodies, and notes what became of them."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.called = asyncio.Event()
        self.connections: set[Any] = set()  # those of the server
        self.app = Starlette(
            routes=[
                Route("/echo", self.echo, methods=["POST"]),
                Route("/deaf", self.deaf, methods=["POST"]),
                Route("/drip", self.drip, methods=["GET"]),
                Route("/endless", self.endless, methods=["GET"]),
                Route("/large", self.large, methods=["GET"]),
            ]
        )
        self.port = 0

    async def echo(self, request: Request) -> Response:
        try:
            return PlainTextResponse(str(len(await request.body())))
        except ClientDisconnect:
            self.left.set()
            raise

    async def deaf(self, _request: Request) -> Response:
        return PlainTextResponse("no matter")

    async def endless(self, _request: Request) -> Response:
        self.called.set()

        async def pieces() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield bytes(100_000)
                    await asyncio.sleep(0)
            finally:
                self.left.set()

        return StreamingResponse(pieces())

    async def large(self, _request: Request) -> Response:
        self.called.set()
        return Response(bytes(1_000_000))

    async def drip(self, _request: Request) -> Response:
        async def pieces() -> AsyncIterator[str]:
            for _ in range(4):
                yield "x"
                await asyncio.sleep(0.2)

        return StreamingResponse(pieces())


@contextlib.asynccontextmanager
async def serving(limits: ConnectionLimits = QUICK) -> AsyncIterator[Served]:
    served = Served()
    app = guarded(served.app, hosts=Hosts("127.0.0.1:0", []), origins=[], callers=None)
    server = HttpServer("127.0.0.1:0", app, limits)
    await server.start()
    served.port = server.port
    served.connections = server._server.server_state.connections
    try:
        yield served
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with asyncio.timeout(BOUND):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    return int(head[0].split()[1]), fields, await reader.readexactly(int(fields.get("content-length", 0)))


async def refusal(reader: asyncio.StreamReader) -> tuple[int, str]:
    """Status and code of the last answer on a connection, which ends with it."""
    status, fields, body = await answer(reader)
    assert await reader.read() == b""
    assert fields["connection"] == "close" and fields["content-type"] == "application/json"
    error: dict[str, Any] = json.loads(body)["error"]
    assert error["message"] and error["type"] in ("invalid_request_error", "server_error")
    return status, error["code"]


async def drip(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Writes a byte now and then, for far longer than is borne."""
    with contextlib.suppress(OSError):
        for byte in data:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "said",
    [
        HEAD + b"X-A: a\r\n",
        HEAD + b"Content-Length: 5\r\n\r\nabc",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"P",
    ],
    ids=["head", "body", "chunks", "first byte"],
)
async def test_a_request_that_never_comes_to_its_end_is_answered_408(said: bytes) -> None:
    async with serving() as served, connected(served.port) as (reader, writer):
        writer.write(said)
        assert await refusal(reader) == (408, "request_timeout")
        if b"\r\n\r\n" in said:
            await served.left.wait()  # whoever reads the body is told


@pytest.mark.parametrize("said", [HEAD, HEAD + b"Content-Length: 10000\r\n\r\n"], ids=["head", "body"])
async def test_a_byte_now_and_then_does_not_put_it_off(said: bytes) -> None:
    async with serving() as served, connected(served.port) as (reader, writer):
        dripping = asyncio.create_task(drip(writer, said + b"x" * 1000))
        assert await refusal(reader) == (408, "request_timeout")
        dripping.cancel()


async def test_a_connection_on_which_nothing_is_said_is_closed_without_a_word() -> None:
    async with serving() as served, connected(served.port) as (reader, _):
        assert await reader.read() == b""


async def test_the_body_of_a_request_that_has_been_answered_may_not_take_for_ever_either() -> None:
    async with serving() as served, connected(served.port) as (reader, writer):
        writer.write(HEAD.replace(b"echo", b"deaf") + b"Content-Length: 10000\r\n\r\n")
        status, _, body = await answer(reader)
        assert (status, body) == (200, b"no matter")
        dripping = asyncio.create_task(drip(writer, b"x" * 1000))
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        await dripping


async def test_an_answer_may_take_longer_than_a_request_may() -> None:
    async with serving() as served, httpx.AsyncClient(base_url=f"http://127.0.0.1:{served.port}") as client:
        for _ in range(2):  # the second one on the same connection
            assert (await client.get("/drip")).text == "xxxx"


async def test_requests_one_after_the_other_and_at_once_have_their_time_each() -> None:
    whole = HEAD + b"Content-Length: 2\r\n\r\nab"
    async with serving() as served, connected(served.port) as (reader, writer):
        for _ in range(4):
            writer.write(whole[:30])
            await asyncio.sleep(0.1)
            writer.write(whole[30:])
            assert (await answer(reader))[2] == b"2"
        writer.write(whole * 3 + whole[:30])
        for _ in range(3):
            assert (await answer(reader))[2] == b"2"
        assert await refusal(reader) == (408, "request_timeout")


@pytest.mark.parametrize("size", [MAX_HEADER_BYTES + 1000, 300_000, 3_000_000])
async def test_headers_that_are_too_large_are_answered_431_though_more_is_on_its_way(size: int) -> None:
    field = b"X-Large: " + b"x" * 4000 + b"\r\n"
    async with serving(ConnectionLimits()) as served, connected(served.port) as (reader, writer):
        writer.write(HEAD + field * (size // len(field) + 1) + b"\r\n")
        status, _, body = await answer(reader)
        assert status == 431
        assert json.loads(body)["error"]["code"] == "headers_too_large"


async def test_one_header_without_an_end_is_cut_off() -> None:
    async with serving(ConnectionLimits()) as served, connected(served.port) as (reader, writer):
        writer.write(HEAD + b"X-Endless: ")

        async def endless() -> None:
            with contextlib.suppress(OSError):
                while True:
                    writer.write(b"x" * 10_000)
                    await writer.drain()

        writing = asyncio.create_task(endless())
        assert (await answer(reader))[0] == 431
        writing.cancel()


async def test_headers_below_the_limit_are_read() -> None:
    async with serving(ConnectionLimits()) as served, httpx.AsyncClient() as client:
        sent = await client.post(
            f"http://127.0.0.1:{served.port}/echo", content=b"ab", headers={"x-large": "x" * (MAX_HEADER_BYTES - 1000)}
        )
        assert sent.text == "2"


@pytest.mark.parametrize("said", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", HEAD + b"Content-Length: x\r\n\r\n"])
async def test_what_is_no_http_is_answered_400(said: bytes) -> None:
    async with serving(ConnectionLimits()) as served, connected(served.port) as (reader, writer):
        writer.write(said)
        assert await refusal(reader) == (400, "invalid_http")


async def test_nonsense_in_a_body_ends_the_request_that_is_being_read() -> None:
    async with serving(ConnectionLimits()) as served, connected(served.port) as (reader, writer):
        writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nnonsense\r\n")
        assert await refusal(reader) == (400, "invalid_http")
        await served.left.wait()


async def test_a_crowd_is_told_that_there_is_no_room_and_one_that_leaves_makes_some() -> None:
    async with serving(ConnectionLimits(max_connections=2)) as served, contextlib.AsyncExitStack() as stack:
        first, _ = [await stack.enter_async_context(connected(served.port)) for _ in range(2)]
        first[1].write(HEAD + b"Content-Length: 0\r\n\r\n")
        assert (await answer(first[0]))[0] == 200  # so both are known to be there
        async with connected(served.port) as (reader, writer):
            writer.write(HEAD + b"Content-Length: 0\r\n\r\n")
            assert await refusal(reader) == (503, "overloaded")
        first[1].close()
        await first[1].wait_closed()
        status = 503
        while status == 503:  # until the server has seen it go
            async with connected(served.port) as (reader, writer):
                writer.write(HEAD + b"Content-Length: 0\r\n\r\n")
                status = (await answer(reader))[0]
        assert status == 200


async def test_a_body_that_is_too_large_is_answered_413_by_the_gateway() -> None:
    async with house(max_body_bytes=2000) as running, httpx.AsyncClient() as client:
        url = f"http://127.0.0.1:{running.gateway.http_port}/v1/chat/completions"
        said = {"model": "any", "messages": [{"role": "user", "content": SECRET}]}
        for content in ("x" * 3000, "x" * 3_000_000):
            refused = await client.post(url, json={**said, "user": content})
            assert refused.status_code == 413 and refused.json()["error"]["code"] == "too_large"
        assert (await client.post(url, json=said)).status_code == 200  # on the same connection


async def test_grpc_closes_connections_beyond_those_that_may_be_open() -> None:
    async with house(max_connections=1) as running:
        await running.stub.ListTools(gateway_pb2.ListToolsRequest())
        with socket.create_connection(("127.0.0.1", running.gateway.port), timeout=BOUND) as other:
            received = await asyncio.to_thread(other.recv, 1)
        assert received == b""
        await running.stub.ListTools(gateway_pb2.ListToolsRequest())


@pytest.mark.parametrize(
    "asked",
    [b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20],
)
async def test_a_client_that_does_not_take_its_answer_is_cut_off(asked: bytes) -> None:
    async with serving(ConnectionLimits(stalled_seconds=0.2)) as served, asyncio.timeout(BOUND):
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.connect(("127.0.0.1", served.port))
            client.sendall(asked)
            await served.called.wait()
            while served.connections:  # noqa: ASYNC110 - the server keeps the set
                await asyncio.sleep(0.005)
        if b"endless" in asked:
            await served.left.wait()


async def test_a_completion_ends_at_its_deadline_though_nobody_takes_its_events() -> None:
    said = [at(0.0, turn_started=decoder_pb2.TurnStarted())]
    said += [at(0.1, text_delta=decoder_pb2.TextDelta(text="x" * 100_000))] * 100
    request = gateway_pb2.CompleteRequest(messages=[gateway_pb2.Message(role="user", content=SECRET)])
    body = json.dumps({"model": "any", "stream": True, "messages": [{"role": "user", "content": SECRET}]}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    settings = {"default_deadline_seconds": 1.0, "max_active": 2}
    async with house(FakeDecoder(script=said, hangs=True), **settings) as running, asyncio.timeout(BOUND):
        completions = running.gateway.completions
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.connect(("127.0.0.1", running.gateway.http_port))
            client.sendall(head + body)
            async with closed_window(running.gateway.port) as deaf:
                await deaf.call("/conveyor.gateway.v1.GatewayService/Complete", request.SerializeToString())
                while len(running.decoder.requests) < 2:  # noqa: ASYNC110 - the decoder counts
                    await asyncio.sleep(0.005)
                assert (await failure_of(running.complete()))[1].reason is Reason.OVERLOADED
                await completions._idle.wait()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.gateway.http_port}") as reader:
            listed = (await reader.get("/v1/completions")).json()["completions"]
        assert [each["error"]["code"] for each in listed] == ["deadline_exceeded"] * 2


async def test_connections_count_from_the_first_moment_and_have_so_long_for_their_handshake(tmp_path: Path) -> None:
    limits = ConnectionLimits(receive_seconds=0.3, max_connections=3)
    authority = Authority(tmp_path)
    server = HttpServer("127.0.0.1:0", Served().app, limits, authority.server("server", mutual=False))
    await server.start()
    trusting = ssl.create_default_context(cafile=authority.ca)
    async with contextlib.AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(connected(server.port)) for _ in range(3)]
        async with connected(server.port) as (reader, _):
            assert await reader.read() == b""  # at once: the other three are still there
        assert not any(reader.at_eof() for reader, _ in silent)
        for reader, _ in silent:
            assert await reader.read() == b""
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=trusting)
        writer.write(HEAD.replace(b"echo", b"deaf") + b"Content-Length: 0\r\n\r\n")
        assert (await answer(reader))[0] == 200
        writer.close()
    await server.stop()


async def test_a_flood_beyond_those_that_are_told_why_is_closed_at_once() -> None:
    async with serving(ConnectionLimits(max_connections=1)) as served, contextlib.AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(connected(served.port)) for _ in range(TOLD + 3)]
        assert await crowd[-1][0].read() == b""
        assert (await answer(crowd[1][0]))[0] == 503


def test_a_process_takes_as_many_connections_as_it_has_descriptors_for() -> None:
    program = """if True:
        import resource
        from gateway.guard.descriptors import RESERVE, connections_within
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 512))
        print(connections_within(100), connections_within(1024), resource.getrlimit(resource.RLIMIT_NOFILE))
        assert 2 * connections_within(1024) + RESERVE <= 512
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "100 192 (512, 512)" in done.stdout
    assert "gateway.max_connections to 192" in done.stdout
