"""Asks over HTTP: the gateway, and the metrics of any service."""

import asyncio
import http.client
import json
import socket
import ssl
from typing import Any
from urllib.parse import urlsplit

from gateway.cli.credentials import Credentials
from gateway.cli.failure import REMEDIES, Failure, Peer
from protos.rpc.errors import Reason

TIMEOUT_SECONDS = 10.0
MOST_BYTES = 64 * 2**20
_START = "Start the services with `conveyor up`, wait until it says ready, or say where it listens with {option}."


async def get_json(peer: Peer, path: str) -> Any:
    """What is at `path` of the gateway. Raises Failure."""
    try:
        status, body = await asyncio.to_thread(get, peer.address, path, peer.credentials)
    except (OSError, ValueError, http.client.HTTPException) as error:
        cause = f"no {peer.name} answers at {peer.address}: {error}"
        raise Failure(cause, _START.format(option=peer.option)) from error
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


def get(
    address: str,
    path: str,
    credentials: Credentials | None = None,
    seconds: float = TIMEOUT_SECONDS,
    most_bytes: int = MOST_BYTES,
) -> tuple[int, bytes]:
    """Status and body. `address` is `host:port` or the beginning of a URL; over TLS where that is `https://`, and where
    the credentials say whom to trust.

    Raises OSError, ValueError or http.client.HTTPException.
    """
    shown = credentials or Credentials()
    url = urlsplit(address if "://" in address else f"{'https' if shown.tls.ca else 'http'}://{address}")
    if url.scheme != "https" and shown.tls.ca:
        raise ValueError("--ca asks for TLS, and http:// for none: say https://, or leave --ca out")
    connection = _connection(url.scheme, url.netloc, shown, seconds)
    try:
        connection.request("GET", f"{url.path.rstrip('/')}{path}", headers=dict(shown.metadata))
        response = connection.getresponse()
        body = response.read(most_bytes + 1)
        if len(body) > most_bytes:
            raise ValueError(f"it answers with more than {most_bytes} bytes")
        return response.status, body
    finally:
        connection.close()


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
        self.sock = self._trusted.wrap_socket(plain, server_hostname=self._name)
