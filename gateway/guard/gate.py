"""What an HTTP request must pass before an application hears of it.

not too many headers ▶ one of our names ▶ no foreign page ▶ a key ▶ the application

Each check looks at the request's head once. Nothing is wrapped that is called later: what the application sends and
receives goes straight to the connection, and so does a client's leaving.
"""

from collections.abc import Callable, Sequence

import structlog
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.failures import HttpFailure
from gateway.guard.callers import Callers
from gateway.guard.connections import MAX_HEADER_BYTES, TOO_MANY_HEADERS
from gateway.guard.hosts import Hosts, Origins
from protos.rpc import context
from protos.rpc.errors import ServiceError

OPEN = ("/", "/health", "/ready")
OPEN_BELOW = "/page/"
_EXPOSED = (context.REQUEST_ID, "retry-after")
_METHODS = ("GET", "POST", "DELETE")

Check = Callable[[Scope], None]  # raises HttpFailure
log = structlog.get_logger()


def guarded(app: ASGIApp, *, hosts: Hosts, origins: Sequence[str], callers: Callers | None) -> ASGIApp:
    """The application behind all checks. `origins` are those whose pages may call it; without `callers` nobody needs a
    key."""
    inside: ASGIApp = Gate(app, Origins(origins).check, KeyCheck(callers).check)
    if origins:  # outside of these checks, so that a page can read why it was refused; not of those of size and name
        inside = CORSMiddleware(
            inside, allow_origins=origins, allow_methods=_METHODS, allow_headers=["*"], expose_headers=_EXPOSED
        )
    return Gate(inside, check_size, hosts.check)


class Gate:
    """Answers what fails a check itself."""

    def __init__(self, app: ASGIApp, *checks: Check) -> None:
        self._app = app
        self._checks = checks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] == "http":
            try:
                for check in self._checks:
                    check(scope)
            except HttpFailure as failure:
                request_id = context.from_headers(Headers(scope=scope)).request_id
                _log(scope, failure, request_id)
                await _answer(failure, request_id)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class KeyCheck:
    """Has every request show a key, but those for what is open, and notes whose it is."""

    def __init__(self, callers: Callers | None) -> None:
        self._callers = callers

    def check(self, scope: Scope) -> None:
        """Raises HttpFailure 401."""
        context.bind_caller("")  # a request may begin in the task of the one before it on its connection
        if self._callers is None or is_open(scope["path"]):
            return
        try:
            shown = Headers(scope=scope).getlist("authorization")
            # Of two, whoever is in between may have looked at the other one.
            context.bind_caller(self._callers.name_of(shown[0] if len(shown) == 1 else ""))
        except ServiceError as error:
            raise HttpFailure(401, "invalid_api_key", error.message) from error


def is_open(path: str) -> bool:
    """Whether a path is there for everybody: health for whoever watches it, and the page, which then asks for a key."""
    return path in OPEN or path.startswith(OPEN_BELOW)


def check_size(scope: Scope) -> None:
    """Raises HttpFailure 431. A head that comes at once is not cut off by the connection, however long it is."""
    fields = sum(len(name) + len(value) for name, value in scope["headers"])
    if fields + len(scope["raw_path"]) + len(scope["query_string"]) > MAX_HEADER_BYTES:
        raise TOO_MANY_HEADERS


def _answer(failure: HttpFailure, request_id: str) -> ASGIApp:
    response = failure.response()
    response.headers[context.REQUEST_ID] = request_id
    if failure.status == 401:
        response.headers["www-authenticate"] = "Bearer"
    return response


def _log(scope: Scope, failure: HttpFailure, request_id: str) -> None:
    structlog.contextvars.clear_contextvars()
    client = (scope.get("client") or ("",))[0]
    log.info(
        "refused",
        request_id=request_id,
        path=scope["path"][:100],
        reason=failure.code,
        message=failure.message,
        client=client,
    )
