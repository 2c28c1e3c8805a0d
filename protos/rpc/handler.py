"""Decorators for the methods of a servicer.

They bind the request's context, log how the call ended, and turn what escapes into a status: a `ServiceError` into its
own, anything else into INTERNAL with a fixed text, so that no stack trace or path reaches a caller.
"""

import asyncio
import contextlib
import functools
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, NoReturn, TypeVar

import grpc
import structlog

from protos.rpc import context as request_context
from protos.rpc.errors import UNEXPECTED, Reason, ServiceError, to_status

Servicer = TypeVar("Servicer")
Request = TypeVar("Request")
Response = TypeVar("Response")
Context = grpc.aio.ServicerContext[Any, Any]

log = structlog.get_logger()


def unary(
    method: Callable[[Servicer, Request], Awaitable[Response]],
) -> Callable[[Servicer, Request, Context], Awaitable[Response]]:
    """Wraps `async def Method(self, request) -> response`."""

    @functools.wraps(method)
    async def handle(self: Servicer, request: Request, context: Context) -> Response:
        _enter(context)
        try:
            return await method(self, request)
        except Exception as error:
            await _abort(method.__name__, context, error)

    return handle


def streaming(
    method: Callable[[Servicer, Request], AsyncGenerator[Response, None]],
) -> Callable[..., Any]:
    """Wraps `async def Method(self, request)` that yields responses.

    `request` is an iterator of requests where the method takes a stream. Responses are written here and not by gRPC's
    own loop over a generator, which forgets a generator that it cancels while it writes: so the method's `finally`
    blocks run at once.
    """

    @functools.wraps(method)
    async def handle(self: Servicer, request: Request, context: Context) -> None:
        _enter(context)
        try:
            async with contextlib.aclosing(method(self, request)) as responses:
                async for response in responses:
                    await context.write(response)
        except asyncio.CancelledError:
            log.info("cancelled", method=method.__name__)
            raise
        except Exception as error:
            await _abort(method.__name__, context, error)

    return handle


def _enter(context: Context) -> None:
    bound = request_context.incoming(context)
    request_context.bind(bound)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**bound.logged())


async def _abort(method: str, context: Context, error: Exception) -> NoReturn:
    if isinstance(error, ServiceError):
        log.info("refused", method=method, **error.logged())
    else:
        log.error("failed", method=method, exc_info=error)
        error = ServiceError(Reason.INTERNAL, UNEXPECTED)
    await context.abort_with_status(to_status(error, request_context.current().request_id))
    raise AssertionError("abort_with_status always raises")
