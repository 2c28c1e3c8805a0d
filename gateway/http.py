"""The gateway's HTTP port: metrics, liveness and readiness, in the loop that serves gRPC."""

import asyncio
import contextlib
import functools
import socket
import ssl
from collections.abc import Callable, Generator, Sequence

import prometheus_client
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp

from gateway.failures import HttpFailure
from gateway.guard.accepting import Acceptor
from gateway.guard.connections import MAX_HEADER_BYTES, NO_SNIFFING, Connection, ConnectionLimits
from gateway.metrics import Metrics
from gateway.readiness import Readiness
from protos.rpc.certificates import http_context
from protos.rpc.tls import ServerTls

_CLOSE_SECONDS = 1
STALLED_MS = 60_000  # that a client may take nothing of what waits for it


def create_app(readiness: Readiness, metrics: Metrics, routes: Sequence[Route] = ()) -> Starlette:
    """`/metrics`, `/health` (the process is alive), `/ready` (completions are welcome), and `routes`."""

    async def show_metrics(_request: Request) -> Response:
        return Response(metrics.render(), headers={"content-type": prometheus_client.CONTENT_TYPE_LATEST})

    async def show_health(_request: Request) -> Response:
        return JSONResponse({"alive": True})

    async def show_ready(_request: Request) -> Response:
        state = {"ready": readiness.ready, "draining": readiness.draining, "missing": readiness.missing}
        return JSONResponse(state, status_code=200 if readiness.ready else 503)

    own = (Route("/metrics", show_metrics), Route("/health", show_health), Route("/ready", show_ready))
    every = [*own, *routes]
    missing = _missing(every)
    return Starlette(routes=every, exception_handlers={404: missing, 405: missing})


def _missing(routes: Sequence[Route]) -> Callable[[Request, Exception], Response]:
    """Answers to what there is not: another method of a path that there is, or no such path."""

    def answer(request: Request, _error: Exception) -> Response:
        path = request.url.path
        allowed = {
            m for route in routes if route.matches(request.scope)[0] is not Match.NONE for m in route.methods or ()
        }
        if not allowed:
            known = ", ".join(dict.fromkeys(route.path for route in routes))
            return HttpFailure(404, "unknown_url", f"there is no {path[:100]}; there are: {known}").response()
        wanted = ", ".join(sorted(allowed))
        failure = HttpFailure(405, "method_not_allowed", f"{path} takes {wanted}, and not {request.method}")
        response = failure.response()
        response.headers["allow"] = wanted
        return response

    return answer


class HttpServer:
    """Serves an ASGI application on `address`, `host:port`, over TLS where `tls` has a certificate."""

    def __init__(
        self,
        address: str,
        app: ASGIApp,
        limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008 - it is frozen
        tls: ServerTls | None = None,
    ) -> None:
        self._address = address
        context = http_context(tls) if tls is not None and tls.cert else None
        config = uvicorn.Config(
            app,
            http=functools.partial(Connection, limits),  # type: ignore[arg-type]  # all that is done to it is a call
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            proxy_headers=False,  # what a client says of its address and scheme is not believed
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            headers=[NO_SNIFFING],  # of every answer but those that a connection gives itself
            timeout_graceful_shutdown=_CLOSE_SECONDS,
        )
        self._server = _Server(config, context, limits)
        self._serving: asyncio.Task[None] | None = None
        self.port = 0

    async def start(self) -> None:
        """Listens. Raises OSError with the address and the remedy where it cannot."""
        listener = _listen(self._address)
        self.port = listener.getsockname()[1]
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))

    async def stop(self) -> None:
        """Closes the port; answers that are being sent get a second."""
        self._server.should_exit = True
        if self._serving is not None:
            await asyncio.wait((self._serving,))


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, context: ssl.SSLContext | None, limits: ConnectionLimits) -> None:
        super().__init__(config)
        self._context = context
        self._limits = limits

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accepts connections as we do it, where uvicorn would have asyncio do it."""
        kind, state = self.config.http_protocol_class, self.server_state

        def connection() -> Connection:
            return kind(config=self.config, server_state=state, app_state={})  # type: ignore[return-value, call-arg]

        acceptors = [Acceptor(listener, connection, self._context, self._limits) for listener in sockets or ()]
        self.servers = acceptors  # type: ignore[assignment]  # of which it closes each, and waits for that
        self.started = True

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals are the process's to handle, in one place for gRPC and HTTP."""
        yield


def _listen(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        listener = socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise OSError(f"cannot listen on {address}: {error.strerror}; is it taken by another process?") from error
    # Its connections inherit it. asyncio does not set it on those of a listener that it is given, and an answer in two
    # pieces would wait 40 ms for the acknowledgement of the first.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; see tcp(7), and for a closed window RFC 9293, 3.8.6.1
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_MS)
    return listener
