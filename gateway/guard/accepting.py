"""Connections of HTTP from the moment on in which they are accepted.

asyncio's own servers tell nobody of a connection before its handshake of TLS, which a client may never begin. Here each
counts from its first moment, and has so long for its handshake as for a request. Beyond as many as may be open, and a
few that are told so, connections are closed at once; over TLS nothing could be told before the handshake.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable

import structlog

from gateway.guard.connections import Connection, ConnectionLimits

TOLD = 64  # connections beyond the limit that are being answered why they are refused
BACKLOG = 2048  # connections that the system holds until they are accepted
_PAUSE_SECONDS = 1.0  # where the system has no descriptor for another one

log = structlog.get_logger()


class Acceptor:
    """Has `connection` speak on what `listener` accepts, over TLS where there is a `context`."""

    def __init__(
        self,
        listener: socket.socket,
        connection: Callable[[], Connection],
        context: ssl.SSLContext | None,
        limits: ConnectionLimits,
    ) -> None:
        self._listener = listener
        self._connection = connection
        self._context = context
        self._limits = limits
        self._most = limits.max_connections + (0 if context else TOLD)
        self._open: set[Connection] = set()
        self._greetings: set[asyncio.Task[None]] = set()
        listener.setblocking(False)
        listener.listen(BACKLOG)
        self._accepting = asyncio.create_task(self._accept())

    @property
    def count(self) -> int:
        """How many connections there are, with those whose handshake is under way."""
        return len(self._open)

    def close(self) -> None:
        """Takes no more. Those that are there stay, but for handshakes."""
        for task in (self._accepting, *self._greetings):
            task.cancel()
        self._listener.close()

    async def wait_closed(self) -> None:
        """Returns when nothing is left of the listener; for uvicorn."""
        await asyncio.gather(self._accepting, *self._greetings, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(self._listener)
            except ConnectionError:
                continue  # it has left already
            except OSError as error:
                log.error("cannot accept", cause=error.strerror)
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            if self.count >= self._most:
                client.close()
            else:
                self._begin(client)

    def _begin(self, client: socket.socket) -> None:
        connection = self._connection()
        connection.on_lost = lambda: self._open.discard(connection)
        self._open.add(connection)
        task = asyncio.create_task(self._greet(client, connection))
        self._greetings.add(task)
        task.add_done_callback(self._greetings.discard)

    async def _greet(self, client: socket.socket, connection: Connection) -> None:
        seconds = self._limits.receive_seconds if self._context else None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection, client, ssl=self._context, ssl_handshake_timeout=seconds
            )
        except BaseException as error:
            connection.on_lost()
            client.close()
            if not isinstance(error, OSError):  # a handshake that failed, or took too long, is the client's affair
                raise
