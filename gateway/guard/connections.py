"""HTTP connections whose clients take their time, or send too much.

A client owes us the rest of a request from its first byte to the last one of its body. While it does, a timer runs
that its bytes do not put back, so that it cannot hold a connection with a byte now and then:

| what is missing when the timer has run out | what happens |
|---|---|
| the first byte, on a new connection | it is closed; between requests uvicorn's own timer does that |
| a part of the head or the body | 408, and it is closed |
| a part of the body of a request that has been answered | it is closed |

And a client has to take its answers: where what waits for it has not become less for `stalled_seconds`, the connection
is cut off. To close it would be to wait until all has been taken.

Whoever is refused with more on its way still reads why: we say that no more comes from us, and for a moment what comes
is read and dropped. Closed at once, the system would reset the connection, and the answer would be lost.
"""

import asyncio
import http
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from gateway.failures import HttpFailure
from protos.rpc import context

MAX_HEADER_BYTES = 32 * 1024  # of a request: names, values and target
LINGER_SECONDS = 2.0
NO_SNIFFING = ("x-content-type-options", "nosniff")  # of every answer: it is what its type says, and no script
TOO_MANY_HEADERS = HttpFailure(
    431, "headers_too_large", f"the headers have more than {MAX_HEADER_BYTES} bytes, as many as may be"
)
_TOO_MANY_CONNECTIONS = HttpFailure(503, "overloaded", "as many connections are open as may be; try again in a moment")
_NO_HTTP = HttpFailure(400, "invalid_http", "this is no request of HTTP/1.1")


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """`receive_seconds`: how long a request may take to come in. `max_connections`: how many may be open at once.
    `stalled_seconds`: how long a client may not take what waits for it."""

    receive_seconds: float = 30.0
    max_connections: int = 1024
    stalled_seconds: float = 60.0


class Connection(H11Protocol):
    """A connection of uvicorn's, within limits."""

    def __init__(
        self,
        limits: ConnectionLimits,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._timer: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._is_silent = True  # not a byte has come
        self._is_refused = False
        self.on_lost: Callable[[], None] = lambda: None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """See asyncio."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.max_connections:
            self.connections.discard(self)  # it takes nobody's place
            self._refuse(_TOO_MANY_CONNECTIONS)
        else:
            self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._stop_timer()
        self._stop_stalled()
        super().connection_lost(exc)
        self.on_lost()

    def pause_writing(self) -> None:
        """See asyncio: more waits for the client than may."""
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(self._limits.stalled_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """See asyncio: the client has taken most of it."""
        super().resume_writing()
        self._stop_stalled()

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        if self._is_refused:
            return
        if self._is_silent:
            self._is_silent = False
            self._stop_timer()
        super().data_received(data)
        self._attend()

    def on_response_complete(self) -> None:
        """See uvicorn; goes on with what came while the answer was made."""
        super().on_response_complete()
        self._attend()

    def send_400_response(self, msg: str) -> None:
        """Says what is wrong with what h11 could not read. uvicorn calls it while it handles h11's exception."""
        error = sys.exception()
        hint = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        self._refuse(TOO_MANY_HEADERS if hint == TOO_MANY_HEADERS.status else _NO_HTTP)

    def _attend(self) -> None:
        """Has the timer run while the client owes us something."""
        if not self._is_owed() or self._is_refused or self.transport.is_closing():
            self._stop_timer()
        elif self._timer is None:
            self._start_timer()

    def _is_owed(self) -> bool:
        if self.conn.their_state is h11.IDLE:
            return bool(self.conn.trailing_data[0])
        return self.conn.their_state is h11.SEND_BODY

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self._limits.receive_seconds, self._on_late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_stalled(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _on_late(self) -> None:
        self._timer = None
        if self._is_silent:
            self.transport.close()
        else:
            seconds = self._limits.receive_seconds
            self._refuse(HttpFailure(408, "request_timeout", f"the request was not there after {seconds:g} s"))

    def _refuse(self, failure: HttpFailure) -> None:
        """Answers in the application's place, where nothing has been answered yet, and closes the connection."""
        self._is_refused = True
        self._stop_timer()
        self._unset_keepalive_if_required()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._answer(failure)
            if self.transport.can_write_eof():
                self.transport.write_eof()
            self.flow.resume_reading()
            self.loop.call_later(LINGER_SECONDS, self.transport.close)
        else:
            self.transport.close()
        if self.cycle is not None:  # the application, if it has begun, sees its client leave
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _answer(self, failure: HttpFailure) -> None:
        body = json.dumps(failure.content).encode()
        headers = [
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("connection", "close"),
            (context.REQUEST_ID, context.new_request_id()),
            NO_SNIFFING,
        ]
        head = h11.Response(status_code=failure.status, headers=headers, reason=http.HTTPStatus(failure.status).phrase)
        for event in (head, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
