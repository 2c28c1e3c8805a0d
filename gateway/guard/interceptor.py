"""Has every call over gRPC show a key, but those of health."""

from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, Union

import grpc
import structlog
from grpc_health.v1 import health_pb2

from gateway.guard.callers import Callers
from protos.rpc import context
from protos.rpc.errors import ServiceError, to_status

_OPEN = f"/{health_pb2.DESCRIPTOR.services_by_name['Health'].full_name}/"

Handler = Union["grpc.RpcMethodHandler[Any, Any]", None]  # None: there is no such method
Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Handler]]
log = structlog.get_logger()


class KeyInterceptor(grpc.aio.ServerInterceptor):
    """Looks at a call's metadata once, when it begins, and notes whose key is in them.

    gRPC runs a call's interceptors and its handler in one task, so the note is there for the handler, and nothing is
    put around its messages.
    """

    def __init__(self, callers: Callers) -> None:
        self._callers = callers

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        """The method's own handler, or one that refuses the call."""
        if not handler_call_details.method.startswith(_OPEN):
            try:
                context.bind_caller(self._callers.name_of(_authorization(handler_call_details)))
            except ServiceError as error:
                return _refusing(error, handler_call_details.method)
        return await continuation(handler_call_details)


def _authorization(details: grpc.HandlerCallDetails) -> str:
    found = [value for key, value in details.invocation_metadata or () if key == "authorization"]
    return found[0] if len(found) == 1 and isinstance(found[0], str) else ""


def _refusing(error: ServiceError, method: str) -> Handler:
    async def refuse(_requests: object, call: grpc.aio.ServicerContext[Any, Any]) -> NoReturn:
        request_id = context.incoming(call).request_id
        structlog.contextvars.clear_contextvars()
        log.info(
            "refused",
            request_id=request_id,
            method=method[:100],
            reason=str(error.reason),
            message=error.message,
            client=call.peer(),
        )
        await call.abort_with_status(to_status(error, request_id))
        raise AssertionError("abort_with_status always raises")

    return grpc.stream_stream_rpc_method_handler(refuse)  # whatever the method is: this kind waits for no message
