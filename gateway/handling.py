"""What every handler of HTTP does: its request's context, its body, and errors in OpenAI's shape."""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gateway import failures
from gateway.failures import HttpFailure
from gateway.field_names import Name, named
from protos.rpc import context
from protos.rpc.errors import ServiceError

MAX_VALUES = 50_000  # in a body
_TEXTS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)

Body = TypeVar("Body", bound=BaseModel)
Handler = Callable[[Request], Awaitable[Response]]
log = structlog.get_logger()


def telling(handler: Handler, names: Sequence[Name] = ()) -> Handler:
    """Binds the request's context, and answers with what went wrong, in the body's `names` of fields. Every answer has
    the request's id."""

    async def handle(request: Request) -> Response:
        running = context.from_headers(request.headers)
        context.bind(running)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(**running.logged())
        response = await _answered(handler, names, request)
        response.headers[context.REQUEST_ID] = running.request_id
        return response

    return handle


async def _answered(handler: Handler, names: Sequence[Name], request: Request) -> Response:
    try:
        return await handler(request)
    except HttpFailure as failure:
        return failure.response()
    except ClientDisconnect:
        return HttpFailure(499, "cancelled", "the client has left").response()
    except ServiceError as error:
        log.info("refused", path=request.url.path, **error.logged())
        return named(failures.of_service(error), names).response()
    except Exception:
        log.exception("failed", path=request.url.path)
        return failures.unexpected().response()


def _refuse_crowded(body: bytearray) -> None:
    """A body of bytes that are all tiny values costs a thousand times what one of long text does, and nobody else is
    served meanwhile."""
    if _value_count(body) > MAX_VALUES:  # at most so many, commas in its texts included
        count = _value_count(_TEXTS.sub(b"", body))
        if count > MAX_VALUES:
            raise HttpFailure(413, "too_large", f"the body has {count} values, and at most {MAX_VALUES} are taken")


def _value_count(text: bytes | bytearray) -> int:
    return sum(map(text.count, (b",", b"[", b"{")))


async def read(kind: type[Body], request: Request, max_bytes: int) -> Body:
    """The body. Raises `HttpFailure` where it is too large, or names the field that is wrong."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > max_bytes:
            raise HttpFailure(413, "too_large", f"the body has more than {max_bytes} bytes, as many as may be")
    _refuse_crowded(body)
    try:
        return kind.model_validate_json(bytes(body))
    except ValidationError as error:
        raise failures.of_validation(error, bytes(body)) from error
