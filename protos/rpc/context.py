"""What a request carries from service to service: an id, a trace, and the time that is left.

gRPC for Python passes neither deadlines nor metadata on to outgoing calls, so each service does it here: a handler
binds `current()` from what came in, and every outgoing call takes `outgoing()` along.
"""

import re
import secrets
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import grpc

REQUEST_ID = "x-request-id"
TRACEPARENT = "traceparent"  # https://www.w3.org/TR/trace-context/
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SANE_TRACE = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The running request. `deadline` is on `time.monotonic()`; None means no deadline.

    `caller` is the name of the API key that came with it, empty where none is asked for. It is never taken from what a
    client says of itself, and not passed on: the services behind the gateway serve the gateway.
    """

    request_id: str
    traceparent: str | None = None
    deadline: float | None = None
    caller: str = ""

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Metadata for an outgoing call."""
        pairs = ((REQUEST_ID, self.request_id), (TRACEPARENT, self.traceparent))
        return tuple((key, value) for key, value in pairs if value is not None)

    def logged(self) -> dict[str, str]:
        """What each line of the log says of the request."""
        return {"request_id": self.request_id, **({"caller": self.caller} if self.caller else {})}

    def remaining_seconds(self) -> float | None:
        """Timeout for an outgoing call; None means no deadline, zero that it has passed."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())


_current: ContextVar[RequestContext | None] = ContextVar("conveyor_request", default=None)
_caller: ContextVar[str] = ContextVar("conveyor_caller", default="")


def current() -> RequestContext:
    """The running request's context; a fresh one outside any request."""
    context = _current.get()
    return context if context is not None else RequestContext(new_request_id())


def bind(context: RequestContext) -> None:
    """Makes `context` the current one for this task and the tasks it starts."""
    _current.set(context)


def bind_caller(name: str) -> None:
    """Has the context that is read in this task next say who calls. Whoever lets a request in does it, for each."""
    _caller.set(name)


def new_request_id() -> str:
    """A fresh id: 12 hexadecimal digits, short enough to read out and long enough never to meet again."""
    return secrets.token_hex(6)


def incoming(servicer_context: grpc.aio.ServicerContext[Any, Any]) -> RequestContext:
    """Reads the context of a call that came in."""
    metadata = {key: str(value) for key, value in servicer_context.invocation_metadata() or ()}
    return from_headers(metadata, servicer_context.time_remaining())


def from_headers(headers: Mapping[str, str], remaining: float | None = None) -> RequestContext:
    """Reads the context from headers, and the seconds that are left. A malformed id or trace is replaced or dropped: it
    would reach our logs."""
    request_id = headers.get(REQUEST_ID, "")
    trace = headers.get(TRACEPARENT, "")
    return RequestContext(
        request_id if _SANE_ID.fullmatch(request_id) else new_request_id(),
        trace if _SANE_TRACE.fullmatch(trace) else None,
        None if remaining is None else time.monotonic() + remaining,
        _caller.get(),
    )
