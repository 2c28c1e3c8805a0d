"""Servers over streamable HTTP."""

import asyncio
import contextlib
import gzip
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from tests.processes import until
from tests.unit.tool_service.tools.mcp.running import FOLDER, Offered, serving
from tool_service.execution import events as ev
from tool_service.tools.mcp.link import MAX_MESSAGE_BYTES
from tool_service.tools.mcp.server import McpError
from tool_service.tools.mcp.settings import McpServerSettings


@contextlib.contextmanager
def honest_process(port: int):  # type: ignore[no-untyped-def]
    command = [sys.executable, str(FOLDER / "honest_server.py"), "http", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


async def test_a_server_over_http_is_listed_called_cancelled_and_reached_again(tmp_path: Path) -> None:
    port = free_port()
    async with serving(honest=McpServerSettings(url=f"http://127.0.0.1:{port}/mcp")) as offered:
        assert offered.tools == {}, "the service starts without it"
        with honest_process(port):
            await offered.until(lambda: "honest_add" in offered.tools)
            assert await offered.outcome("honest_add", a=1, b=2) == "3"
            assert await offered.outcome("honest_count", steps=2) == "[1/2] step 1\n[2/2] step 2\ndone"

            runner, log = offered.start("honest_wait", folder=str(tmp_path))
            await until(lambda: ev.CallOutput("call_1", "[0/1] waiting\n") in log.events)
            await runner.aclose()
            await until((tmp_path / "cancelled").exists)

            waiting = asyncio.create_task(offered.use("honest_wait", folder=str(tmp_path)))
            (tmp_path / "began").unlink()
            await until((tmp_path / "began").exists)
        with pytest.raises(McpError):
            await waiting
        seen = offered.listings
        with honest_process(port):
            await reached_again(offered)
        assert offered.listings >= seen


async def reached_again(offered: Offered) -> None:
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(McpError):
                assert await offered.use("honest_add", a=1) == ["2"]
                return
            await asyncio.sleep(0.05)


class Liar:
    """An HTTP server that speaks just enough MCP, and answers calls with `answer`, once with each kind."""

    def __init__(self) -> None:
        self.answer = b""
        self.headers = b"content-type: application/json\r\n"
        self.status = b"200 OK"
        self.requests: list[tuple[bytes, dict[str, object]]] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
                message = json.loads(await reader.readexactly(length) or b"{}")
                self.requests.append((head, message))
                await self.hear(message, reader, writer)
                status, headers, body = self.respond(message)
                fixed = b"HTTP/1.1 %b\r\n%bcontent-length: %d\r\n\r\n" % (status, headers, len(body))
                writer.write(fixed + body)
                await writer.drain()
        writer.close()

    async def hear(
        self, message: dict[str, object], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """What comes before the answer: nothing."""

    @property
    def is_left(self) -> bool:
        """Whether it is told just now that the session is over."""
        return self.requests[-1][0].startswith(b"delete")

    def respond(self, message: dict[str, object]) -> tuple[bytes, bytes, bytes]:
        plain = b"content-type: application/json\r\n"
        match message.get("method"):
            case "initialize":
                info = {"name": "liar", "version": "1"}
                result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}
                session = plain + b"mcp-session-id: s1\r\n"
                return (
                    b"200 OK",
                    session,
                    json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode(),
                )
            case "tools/list":
                tools = [{"name": "plain", "inputSchema": {"type": "object"}}]
                answer = {"jsonrpc": "2.0", "id": message["id"], "result": {"tools": tools}}
                return b"200 OK", plain, json.dumps(answer).encode()
            case "tools/call":
                return self.status, self.headers, self.answer
            case "server/discover":
                return b"404 Not Found", b"", b""
        return (b"202 Accepted" if "method" in message else b"405 Not Allowed"), b"", b""


class BreaksOff(Liar):
    """Told that the session is over, it closes the connection of a call that runs, and says yes once that is seen."""

    def __init__(self) -> None:
        super().__init__()
        self.called = asyncio.Event()
        self._left = asyncio.Event()
        self._seen = asyncio.Event()

    async def hear(
        self, message: dict[str, object], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if message.get("method") == "tools/call":
            self.called.set()
            await self._left.wait()
            writer.write_eof()
            await reader.read()
            self._seen.set()
            raise ConnectionResetError
        if self.is_left:
            self._left.set()
            await self._seen.wait()


class Deaf(Liar):
    """Never answers `deaf_to`, nor that the session is over."""

    def __init__(self, deaf_to: str) -> None:
        super().__init__()
        self._deaf_to = deaf_to

    async def hear(
        self, message: dict[str, object], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self.is_left or message.get("method") == self._deaf_to:
            await reader.read()
            raise ConnectionResetError


@contextlib.asynccontextmanager
async def listening(server: Liar) -> AsyncIterator[str]:
    """Its URL."""
    async with await asyncio.start_server(server, "127.0.0.1", 0) as opened:
        host, port = opened.sockets[0].getsockname()
        yield f"http://{host}:{port}/"


@pytest.fixture
async def liar() -> AsyncIterator[tuple[Liar, Offered]]:
    liar = Liar()
    async with listening(liar) as url:
        settings = McpServerSettings(url=url, headers={"Authorization": "Bearer secret"})
        async with serving(liar=settings) as offered:
            yield liar, offered


def result(text: str) -> bytes:
    content = [{"type": "text", "text": text}]
    return json.dumps({"jsonrpc": "2.0", "id": 3, "result": {"content": content}}).encode()


async def test_headers_go_with_every_request(liar: tuple[Liar, Offered]) -> None:
    server, offered = liar
    server.answer = result("fine").replace(b'"id": 3', b'"id": 4')
    with contextlib.suppress(McpError):
        await offered.use("liar_plain")
    assert all(b"authorization: bearer secret" in head for head, _ in server.requests)
    assert all(b"accept-encoding: identity" in head for head, _ in server.requests)


@pytest.mark.parametrize(
    ("status", "headers", "answer"),
    [
        (b"200 OK", b"content-type: application/json\r\n", b"x" * (MAX_MESSAGE_BYTES + 1)),
        (b"200 OK", b"content-type: text/event-stream\r\n", b"data: " + b"x" * (MAX_MESSAGE_BYTES + 1)),
        (b"200 OK", b"content-type: application/json\r\n", b"what?"),
        (b"200 OK", b"content-type: text/html\r\n", b"<p>what?"),
        (b"200 OK", b"content-type: text/event-stream\r\n", b""),
        (b"202 Accepted", b"", b""),
        (b"302 Found", b"location: http://127.0.0.1:9/\r\n", b""),
        (b"500 Oops", b"", b"x" * 100),
        (
            b"200 OK",
            b"content-type: application/json\r\ncontent-encoding: gzip\r\n",
            gzip.compress(b" " * (MAX_MESSAGE_BYTES + 1)),
        ),
    ],
    ids=["long", "long event", "no json", "html", "silent", "accepted", "redirect", "error", "packed"],
)
async def test_a_wrong_answer_is_an_error_of_its_call(
    liar: tuple[Liar, Offered], status: bytes, headers: bytes, answer: bytes
) -> None:
    server, offered = liar
    server.status, server.headers, server.answer = status, headers, answer
    async with asyncio.timeout(20):
        with pytest.raises(McpError):
            await offered.use("liar_plain")


async def test_a_session_that_the_server_has_forgotten_is_opened_again(liar: tuple[Liar, Offered]) -> None:
    server, offered = liar
    server.status = b"404 Not Found"
    seen = offered.listings
    with pytest.raises(McpError, match="was started anew and did not run the call; try again"):
        await offered.use("liar_plain")
    await offered.until(lambda: offered.listings > seen)


async def test_a_server_that_breaks_off_while_it_is_left_does_not_keep_the_service() -> None:
    server = BreaksOff()
    async with asyncio.timeout(20), listening(server) as url:
        with structlog.testing.capture_logs() as logs:
            async with serving(liar=McpServerSettings(url=url)) as offered:
                waiting = asyncio.create_task(offered.use("liar_plain"))
                await server.called.wait()
            with pytest.raises(McpError, match="ended while the call ran"):
                await waiting
    assert [line["event"] for line in logs] == ["mcp server listed"], "it is not started again"


@pytest.mark.parametrize("listed", [True, False])
async def test_a_server_that_does_not_hear_that_it_is_left_does_not_keep_the_service(
    listed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one that is up nor one that has not started in time."""
    monkeypatch.setattr("tool_service.tools.mcp.http.LEAVE_SECONDS", 0.1)
    async with listening(Deaf("" if listed else "tools/list")) as url:
        with structlog.testing.capture_logs() as logs:
            async with serving(liar=McpServerSettings(url=url, start_seconds=20 if listed else 1)):
                pass
    said = [line.get("cause", line["event"]) for line in logs]
    assert said == ["mcp server listed" if listed else "it did not start within 1 s"]
