"""Asks over HTTP: the gateway, and the metrics of any service."""

import asyncio
import http.client
import json
import socket
import ssl
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from gateway.cli.aside import aside
from gateway.cli.credentials import Credentials
from gateway.cli.failure import REMEDIES, Failure, Peer
from protos.rpc.errors import Reason

TIMEOUT_SECONDS = 30.0  # for a whole answer, however it comes
_SILENCE_SECONDS = 10.0
MOST_BYTES = 64 * 2**20
WRONG = (OSError, ValueError, http.client.HTTPException)  # what asking raises
_START = "Start the services with `conveyor up`, wait until it says ready, or say where it listens with {option}."
_OTHER = (
    "Is {option} right? HTTP has a port of its own, by default 8080; gRPC is elsewhere. "
    "Where the gateway speaks TLS, name the authority of its certificate with --ca."
)
_DISTRUSTED = (
    "Is --ca the authority of its certificate, and is --server-name, or else the address, a name in it? Where it wants "
    "a certificate, show one with --client-cert and --client-key; where it speaks no TLS, leave out --ca."
)


async def get_json(peer: Peer, path: str) -> Any:
    """What is at `path` of the gateway. Raises Failure."""
    try:
        status, body = await get(peer.address, path, peer.credentials)
    except WRONG as error:
        raise _unanswered(peer, error) from error
    try:
        data = json.loads(body)
        if status < 400:
            return data
        told = data["error"]
        message, code = str(told["message"]), str(told["code"])
    except (ValueError, KeyError, TypeError):
        cause = f"{peer.address} does not answer as the {peer.name}"
        raise Failure(cause, f"Is {peer.option} right? Another service or version listens there.") from None
    remedy = REMEDIES[Reason.UNAUTHENTICATED] if status == 401 else "`conveyor trace` lists the completions there are."
    raise Failure(message, remedy, reason=code, message=message)


async def get(
    address: str,
    path: str,
    credentials: Credentials | None = None,
    seconds: float = TIMEOUT_SECONDS,
    most_bytes: int = MOST_BYTES,
) -> tuple[int, bytes]:
    """Status and body. `address` is `host:port` or the beginning of a URL; over TLS where that is `https://`, and where
    the credentials say whom to trust.

    Raises one of WRONG, a TimeoutError where the whole answer is not there after so many seconds. Then, and where it is
    cancelled, the connection is closed.
    """
    shown = credentials or Credentials()
    url = urlsplit(address if "://" in address else f"{'https' if shown.tls.ca else 'http'}://{address}")
    if url.scheme != "https" and shown.tls.ca:
        raise ValueError("--ca asks for TLS, and http:// for none: say https://, or leave --ca out")
    silence = min(seconds, _SILENCE_SECONDS)
    exchange = _Exchange(_connection(url.scheme, url.netloc, shown, silence), most_bytes)
    try:
        async with asyncio.timeout(seconds) as whole:
            return await aside(exchange.run, f"{url.path.rstrip('/')}{path}", dict(shown.metadata))
    except TimeoutError:
        raise TimeoutError(f"no whole answer in {seconds if whole.expired() else silence:g} s") from None
    finally:
        exchange.abort()


def cause_of(error: Exception) -> str:
    """Why asking has failed, in a few words."""
    if isinstance(error, http.client.BadStatusLine) and not isinstance(error, ConnectionError):
        return "what listens there does not speak HTTP"
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError) and error.reason:
        return f"TLS: {error.reason.replace('_', ' ').lower()}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    return str(error) or type(error).__name__


def _unanswered(peer: Peer, error: Exception) -> Failure:
    remedy = _START
    if isinstance(error, ssl.SSLError):
        remedy = _DISTRUSTED
    elif isinstance(error, (http.client.HTTPException, ConnectionResetError)):
        remedy = _OTHER
    cause = f"no {peer.name} answers at {peer.address}: {cause_of(error)}"
    return Failure(cause, remedy.format(option=peer.option), reason="UNAVAILABLE")


class _Exchange:
    """A request and its answer, in one thread; `abort`, in another, ends it."""

    def __init__(self, connection: http.client.HTTPConnection, most_bytes: int) -> None:
        self._connection = connection
        self._most_bytes = most_bytes
        self._socket: socket.socket | None = None
        self._aborted = False

    def run(self, target: str, headers: dict[str, str]) -> tuple[int, bytes]:
        """Status and body of what is at `target`."""
        connection = self._connection
        try:
            connection.connect()
            self._socket = connection.sock  # the connection forgets it before the body is read
            if self._aborted:
                raise ConnectionAbortedError
            connection.request("GET", target, headers=headers)
            with connection.getresponse() as response:  # which may hold the socket when the connection is closed
                body = response.read(self._most_bytes + 1)
        finally:
            connection.close()
        if len(body) > self._most_bytes:
            raise ValueError(f"it answers with more than {self._most_bytes} bytes")
        return response.status, body

    def abort(self) -> None:
        """Wakes it where it waits for the other."""
        self._aborted = True
        held = self._socket or self._connection.sock
        if held is not None:
            with suppress(OSError):  # closed already
                socket.socket.shutdown(held, socket.SHUT_RDWR)  # one of TLS would take its state away from the reader


def _connection(scheme: str, place: str, shown: Credentials, seconds: float) -> http.client.HTTPConnection:
    if scheme != "https":
        return http.client.HTTPConnection(place, timeout=seconds)
    tls = shown.tls
    trusted = ssl.create_default_context(cafile=tls.ca or None)
    if tls.cert:
        trusted.load_cert_chain(tls.cert, tls.key)
    return _Named(place, tls.name, trusted, seconds)


class _Named(http.client.HTTPSConnection):
    """Over TLS, to one whose certificate may have another name than its address."""

    def __init__(self, place: str, name: str, trusted: ssl.SSLContext, seconds: float) -> None:
        super().__init__(place, context=trusted, timeout=seconds)
        self._name = name or self.host
        self._trusted = trusted

    def connect(self) -> None:
        """Shakes hands."""
        plain = socket.create_connection((self.host, self.port), self.timeout)
        secured = self._trusted.wrap_socket(plain, server_hostname=self._name, do_handshake_on_connect=False)
        self.sock = secured  # before it waits for the other, so that it can be ended meanwhile
        secured.do_handshake()
