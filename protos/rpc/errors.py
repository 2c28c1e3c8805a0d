"""Errors that a caller is told about.

`ServiceError` is the only type that crosses a service's edge on purpose: it carries a `Reason`, which is stable and
machine-readable, and a sentence for people. Anything else that escapes a handler is a bug and becomes `INTERNAL` with a
fixed text. On the wire the reason travels in `google.rpc.ErrorInfo` (see google/rpc/error_details.proto).
"""

import enum
import math
from typing import NoReturn

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

DOMAIN = "conveyor"
MESSAGE_BYTES = 1000  # a status travels in trailing metadata, escaped and twice; peers refuse more than 8 KB of it
UNEXPECTED = "The service failed in an unexpected way; its log has the details under this request id."


class Reason(enum.StrEnum):
    """Why a request failed. Stable: clients switch on it."""

    EMPTY_PROMPT = "EMPTY_PROMPT"
    PROMPT_TOO_LONG = "PROMPT_TOO_LONG"
    INVALID_MESSAGE = "INVALID_MESSAGE"
    INVALID_LIMIT = "INVALID_LIMIT"
    INVALID_SAMPLING = "INVALID_SAMPLING"
    INVALID_SCHEMA = "INVALID_SCHEMA"
    INVALID_REPLAY = "INVALID_REPLAY"
    INVALID_TOOL_USE = "INVALID_TOOL_USE"
    UNKNOWN_TOOL = "UNKNOWN_TOOL"
    UNKNOWN_FORMAT = "UNKNOWN_FORMAT"
    NOT_AWAITED = "NOT_AWAITED"
    PROTOCOL_VIOLATION = "PROTOCOL_VIOLATION"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    OVERLOADED = "OVERLOADED"
    DRAINING = "DRAINING"
    DECODER_UNAVAILABLE = "DECODER_UNAVAILABLE"
    TOOL_SERVICE_UNAVAILABLE = "TOOL_SERVICE_UNAVAILABLE"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    CANCELLED = "CANCELLED"
    INTERNAL = "INTERNAL"


CATALOGUE: dict[Reason, grpc.StatusCode] = {
    Reason.EMPTY_PROMPT: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.PROMPT_TOO_LONG: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.INVALID_MESSAGE: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.INVALID_LIMIT: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.INVALID_SAMPLING: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.INVALID_SCHEMA: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.INVALID_REPLAY: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.INVALID_TOOL_USE: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.UNKNOWN_TOOL: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.UNKNOWN_FORMAT: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.NOT_AWAITED: grpc.StatusCode.NOT_FOUND,
    Reason.PROTOCOL_VIOLATION: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    Reason.OVERLOADED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.DRAINING: grpc.StatusCode.UNAVAILABLE,
    Reason.DECODER_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Reason.TOOL_SERVICE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Reason.DEADLINE_EXCEEDED: grpc.StatusCode.DEADLINE_EXCEEDED,
    Reason.CANCELLED: grpc.StatusCode.CANCELLED,
    Reason.INTERNAL: grpc.StatusCode.INTERNAL,
}


class ServiceError(Exception):
    """A failure that the caller is told about.

    `retry_seconds` is a hint for `OVERLOADED`: how long to wait before the next try. `field` is the path of the field
    of the request that is to blame, where it is one, such as `messages[2].role`; the message may begin with it.
    """

    def __init__(self, reason: Reason, message: str, *, field: str = "", retry_seconds: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.field = field
        self.retry_seconds = retry_seconds

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"

    def within(self, parent: str) -> "ServiceError":
        """The same failure as who passed a field `parent` of a request on tells of it."""
        if not self.field:
            return self
        message = f"{parent}.{self.message}" if self.message.startswith(self.field) else self.message
        return ServiceError(self.reason, message, field=f"{parent}.{self.field}", retry_seconds=self.retry_seconds)

    def logged(self) -> dict[str, str]:
        """What a log says of it. What is wrong with a request is told to who sent it alone: it may quote a prompt."""
        told = {} if self.code is grpc.StatusCode.INVALID_ARGUMENT else {"message": self.message}
        return {"reason": str(self.reason), **told}

    @property
    def code(self) -> grpc.StatusCode:
        """The gRPC status that this error becomes."""
        return CATALOGUE[self.reason]


def to_status(error: ServiceError, request_id: str) -> grpc.Status:
    """Renders an error as a rich gRPC status: `ErrorInfo`, `RequestInfo`, and where given `BadRequest`, `RetryInfo`."""
    details = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN),
        error_details_pb2.RequestInfo(request_id=request_id),
    ]
    if error.field:
        # Of its own the violation says nothing: the sentence is the status's message, and stands there once.
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.field)
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if error.retry_seconds is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(math.ceil(error.retry_seconds * 1000))  # who comes earlier would be refused again
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    number: int = code_pb2.Code.Value(error.code.name)
    message = _cut(error.message)
    status: grpc.Status = rpc_status.to_status(status_pb2.Status(code=number, message=message, details=packed))
    return status


def _cut(message: str) -> str:
    data = message.encode("utf-8", "replace")
    return data.decode() if len(data) <= MESSAGE_BYTES else f"{data[:MESSAGE_BYTES].decode(errors='ignore')}…"


# CANCELLED is missing: who cancels a call himself sees asyncio's CancelledError, so it is a peer that dropped the call.
_TRANSPORT = {
    grpc.StatusCode.DEADLINE_EXCEEDED: Reason.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Reason.OVERLOADED,
}


def from_rpc_error(error: grpc.aio.AioRpcError, unavailable: Reason) -> ServiceError:
    """Reads a peer's failure back into the domain.

    A failure without `ErrorInfo` came from the transport: `unavailable` names the peer that could not be reached.
    """
    retry_seconds = None
    reason = None
    field = ""
    for detail in _details(error):
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        request = error_details_pb2.BadRequest()
        if detail.Unpack(info) and info.domain == DOMAIN and info.reason in Reason.__members__:
            reason = Reason(info.reason)
        elif detail.Unpack(request) and request.field_violations:
            field = request.field_violations[0].field
        elif detail.Unpack(retry):
            retry_seconds = retry.retry_delay.ToMilliseconds() / 1000
    if reason is None:
        reason = _TRANSPORT.get(error.code(), unavailable)
    return ServiceError(reason, error.details() or error.code().name, field=field, retry_seconds=retry_seconds)


def request_id_of(error: grpc.aio.AioRpcError) -> str:
    """The id under which the peer's logs know the failed request; empty where it told none."""
    for detail in _details(error):
        info = error_details_pb2.RequestInfo()
        if detail.Unpack(info):
            return str(info.request_id)
    return ""


def _details(error: grpc.aio.AioRpcError) -> list[any_pb2.Any]:
    for key, value in error.trailing_metadata() or ():
        if key == rpc_status.GRPC_DETAILS_METADATA_KEY and isinstance(value, bytes):
            return list(status_pb2.Status.FromString(value).details)
    return []


def reject(reason: Reason, message: str) -> NoReturn:
    """Raises a `ServiceError`; reads well at the end of a check."""
    raise ServiceError(reason, message)


def reject_field(reason: Reason, field: str, problem: str) -> NoReturn:
    """Raises a `ServiceError` about a field of the request: "FIELD PROBLEM"."""
    raise ServiceError(reason, f"{field} {problem}", field=field)
