"""Web servers on loopback that say what happens to them, and certificates for them."""

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import h2.config
import h2.connection
import h2.events
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

BOUND = 10.0

Answer = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


def page(body: bytes, content_type: str = "text/plain", *fields: str, status: str = "200 OK") -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join([*head, "", ""]).encode() + body


def redirect(target: str) -> bytes:
    return page(b"", "text/plain", f"Location: {target}", status="302 Found")


class WebServer:
    """Answers paths. `events`: `connected`, `GET /path`, `closed`, as they happened."""

    def __init__(self, answers: Mapping[str, Answer], host: str) -> None:
        self.answers = dict(answers)
        self.host = host
        self.port = 0
        self.events: list[str] = []
        self.heads: list[str] = []
        self._news = asyncio.Event()
        self._open: set[asyncio.Task[None]] = set()

    @property
    def origin(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def until(self, event: str, count: int = 1) -> None:
        async with asyncio.timeout(BOUND):
            while self.events.count(event) < count:
                self._news.clear()
                await self._news.wait()

    def say(self, event: str) -> None:
        self.events.append(event)
        self._news.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.say("connected")
        try:
            agreed = writer.get_extra_info("ssl_object")
            if agreed and agreed.selected_alpn_protocol() == "h2":
                await self._speak_http2(reader, writer)
            else:
                await self._speak_http1(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.say("closed")
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    async def _speak_http1(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            await self._answer(head.split()[1], writer)
            await writer.drain()

    async def _answer(self, target: str, writer: asyncio.StreamWriter) -> None:
        self.say(f"GET {target}")
        answer = self.answers.get(target, page(b"none", status="404 Not Found"))
        if isinstance(answer, bytes):
            writer.write(answer)
        else:
            await answer(writer)

    async def _speak_http2(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        state.initiate_connection()
        writer.write(state.data_to_send())
        while data := await reader.read(65_536):
            for event in state.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    target = dict(event.headers)[b":path"].decode()
                    self.say(f"GET {target} over HTTP/2")
                    state.send_headers(event.stream_id, [(":status", "200"), ("content-type", "text/plain")])
                    state.send_data(event.stream_id, b"over two", end_stream=True)
            writer.write(state.data_to_send())
            await writer.drain()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with contextlib.suppress(asyncio.CancelledError):  # by aclose; nobody else cancels it
                await self.serve(reader, writer)
        finally:
            self._open.discard(task)

    async def aclose(self) -> None:
        for task in tuple(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)


@asynccontextmanager
async def serving(
    answers: Mapping[str, Answer] | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[WebServer]:
    server = WebServer(answers or {}, host)
    listening = await asyncio.start_server(server.accept, host, port, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        await server.aclose()
        await listening.wait_closed()


def certificate(folder: Path, name: str = "127.0.0.1") -> Path:
    """A file with a new key and a certificate that it signed itself, for a name or an address."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    with contextlib.suppress(ValueError):
        address = x509.IPAddress(ipaddress.ip_address(name))
    alternative = address if "address" in locals() else x509.DNSName(name)
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{name}.pem"
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


def server_tls(path: Path, *protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    context.set_alpn_protocols(list(protocols))
    return context


def client_tls(path: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=path.read_text()[path.read_text().index("-----BEGIN CERT") :])
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context
