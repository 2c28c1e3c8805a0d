"""Asking over HTTP, against peers that answer too slowly, never, or in another protocol."""

import asyncio
import contextlib
import gc
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
import pytest

from gateway.cli.failure import Failure, Peer
from gateway.cli.gateway_http import get, get_json

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

pytestmark = pytest.mark.timeout(20)


@contextlib.asynccontextmanager
async def peer(answer: Answer) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """The address of one that answers so, and an event for when the other has closed the connection."""
    left = asyncio.Event()

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError):
                await answer(reader, writer)
        finally:
            left.set()
            writer.close()

    async with await asyncio.start_server(on_connection, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}", left


def dripping(head: bytes) -> Answer:
    """Sends `head`, and then a byte now and again until the other has left: no single wait is long."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        gone = asyncio.ensure_future(reader.read())
        writer.write(head)
        while not gone.done():
            writer.write(b"x")
            await asyncio.wait([gone], timeout=0.02)

    return answer


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: b", b"", b"HTTP/1.1 200 "])
async def test_an_answer_that_drips_has_its_time_and_no_more(head: bytes) -> None:
    async with peer(dripping(head)) as (address, left):
        with pytest.raises(TimeoutError, match=r"no whole answer in 0\.2 s"):
            await get(address, "/", seconds=0.2)
        await left.wait()


async def test_one_that_is_cancelled_closes_its_connection() -> None:
    asked = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()

    async with peer(silent) as (address, left):
        asking = asyncio.ensure_future(get(address, "/"))
        await asked.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await left.wait()


async def test_of_an_answer_that_is_too_large_no_socket_is_left() -> None:
    made: list[socket.socket] = []

    async def large(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        made.extend(each for each in gc.get_objects() if type(each) is socket.socket and is_of(writer, each))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nmuch")
        await writer.drain()
        await reader.read()

    async with peer(large) as (address, left):
        with pytest.raises(ValueError, match="more than 3 bytes") as told:
            await get(address, "/", most_bytes=3)
        await left.wait()
        assert [each.fileno() for each in made] == [-1], told  # though what was raised, and its frames, are kept


def is_of(server: asyncio.StreamWriter, client: socket.socket) -> bool:
    """Whether these are the two ends of one connection."""
    try:
        return bool(client.getsockname() == server.get_extra_info("peername"))
    except OSError:
        return False  # closed


async def test_a_handshake_that_never_comes_has_its_time_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(TimeoutError):
            await get(f"https://{address}", "/", seconds=0.2)


async def test_a_port_of_grpc_is_told_as_that() -> None:
    server = grpc.aio.server()
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    with pytest.raises(Failure) as told:
        await get_json(Peer("gateway", address, "--gateway-http"), "/")
    await server.stop(0)
    assert told.value.cause == f"no gateway answers at {address}: what listens there does not speak HTTP"
    assert "8080" in told.value.remedy and told.value.reason == "UNAVAILABLE"


async def test_tls_to_one_that_has_none_says_what_to_look_at() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with peer(plain) as (address, _):
        with pytest.raises(Failure) as told:
            await get_json(Peer("gateway", f"https://{address}", "--gateway-http"), "/")
    assert "--ca" in told.value.remedy
