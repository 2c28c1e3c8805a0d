"""Search engines on loopback: one that speaks HTTP/1.1, and one that speaks HTTP/2 over TLS, as its ALPN says."""

import asyncio
import contextlib
import json
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived

_ENDS = (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError, ssl.SSLError)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a peer says. One that never says anything is `None` instead."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def results(*found: dict[str, object]) -> Answer:
    return Answer(json.dumps({"query": "", "results": found}).encode())


@dataclass(slots=True)
class Peer:
    """What was asked of it: `requests` are method and query of each, `paths` the whole of it, in order."""

    answer: Callable[[str], Answer | None]
    address: str = ""
    connections: int = 0
    requests: list[tuple[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    closing: bool = False  # whether each connection is closed after an answer, without a word

    def take(self, method: str, path: str) -> Answer | None:
        query = parse_qs(urlsplit(path).query).get("q", [""])[0]
        self.requests.append((method, query))
        self.paths.append(path)
        if method == "OPTIONS":
            return Answer(status=405)
        self.asked.set()
        return self.answer(query)


@contextlib.asynccontextmanager
async def http1(answer: Callable[[str], Answer | None]) -> AsyncIterator[Peer]:
    peer = Peer(answer)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer.connections += 1
        while head := await reader.readuntil(b"\r\n\r\n"):
            method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
            said = peer.take(method, path)
            if said is None:
                await reader.read()  # until the other side gives up
                break
            headers = {"Content-Length": str(len(said.body)), **said.headers}
            lines = [f"HTTP/1.1 {said.status} Status", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
            writer.write("\r\n".join(lines).encode() + said.body)
            await writer.drain()
            if peer.closing:
                break

    async with _listening(peer, serve, None, "http"):
        yield peer


@contextlib.asynccontextmanager
async def http2(answer: Callable[[str], Answer | None], certificate: tuple[Path, Path]) -> AsyncIterator[Peer]:
    peer = Peer(answer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.set_alpn_protocols(["h2"])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer.connections += 1
        connection = H2Connection(H2Configuration(client_side=False))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        while data := await reader.read(65_536):
            for event in connection.receive_data(data):
                if isinstance(event, RequestReceived):
                    told = {bytes(name).decode(): bytes(value).decode() for name, value in event.headers or ()}
                    said = peer.take(told[":method"], told[":path"])
                    if said is not None:
                        headers = {":status": str(said.status), **said.headers}
                        connection.send_headers(event.stream_id, list(headers.items()), end_stream=not said.body)
                        if said.body:
                            connection.send_data(event.stream_id, said.body, end_stream=True)
            writer.write(connection.data_to_send())

    async with _listening(peer, serve, context, "https"):
        yield peer


def self_made_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key. Raises OSError where there is no openssl to make it."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    subprocess.run([*command, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True, timeout=30)
    return certificate, key


@contextlib.asynccontextmanager
async def _listening(
    peer: Peer,
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object],
    context: ssl.SSLContext | None,
    scheme: str,
) -> AsyncIterator[None]:
    serving: dict[asyncio.Task[object], asyncio.StreamWriter] = {}

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving[asyncio.current_task()] = writer  # type: ignore[index]
        try:
            with contextlib.suppress(*_ENDS):
                await serve(reader, writer)  # type: ignore[misc]
        finally:
            writer.close()

    server = await asyncio.start_server(served, "127.0.0.1", 0, ssl=context)
    peer.address = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/search"
    try:
        yield
    finally:
        server.close()
        for task, writer in serving.items():
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*serving, return_exceptions=True)
        await asyncio.sleep(0)  # the transports' last word
