"""Errors in OpenAI's shape: `{"error": {"message", "type", "param", "code"}}`."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from starlette.responses import JSONResponse, Response

from protos.rpc.errors import UNEXPECTED, Reason, ServiceError

_STATUS: Mapping[Reason, int] = {
    Reason.UNAUTHENTICATED: 401,
    Reason.NOT_AWAITED: 404,
    Reason.OVERLOADED: 429,
    Reason.DRAINING: 503,
    Reason.DECODER_UNAVAILABLE: 503,
    Reason.TOOL_SERVICE_UNAVAILABLE: 503,
    Reason.DEADLINE_EXCEEDED: 504,
    Reason.CANCELLED: 499,
    Reason.INTERNAL: 500,
}
_TYPES = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


MAX_TOLD = 1000
_LOOKED_AT = 100
_TELLING = {"missing": 0, "extra_forbidden": 1, "union_tag_invalid": 3}


class HttpFailure(Exception):
    """An answer that is none. `param`: the request's field that is to blame."""

    def __init__(
        self, status: int, code: str, message: str, *, param: str | None = None, retry_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.param = status, code, message, param
        self.retry_seconds = retry_seconds

    @property
    def content(self) -> dict[str, Any]:
        """The body."""
        kind = _TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> Response:
        """The answer."""
        headers = {} if self.retry_seconds is None else {"retry-after": f"{max(1, math.ceil(self.retry_seconds))}"}
        return JSONResponse(self.content, self.status, headers)


def as_json(content: Mapping[str, Any]) -> str:
    """A message of a stream, in one line."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def of_service(error: ServiceError) -> HttpFailure:
    """A failure of the services behind; `param` is the contract's field."""
    status, param = _STATUS.get(error.reason, 400), error.field or None
    return HttpFailure(status, str(error.reason).lower(), error.message, param=param, retry_seconds=error.retry_seconds)


def unexpected() -> HttpFailure:
    """A bug; the log has it."""
    return HttpFailure(500, "internal", UNEXPECTED)


def of_validation(error: ValidationError, body: bytes) -> HttpFailure:
    """What is wrong with the first wrong field of a body."""
    try:
        sent = json.loads(body)
    except (ValueError, RecursionError):
        return HttpFailure(400, "invalid_json", f"the body is no valid JSON: {error.errors()[0]['msg']}")
    if error.error_count() > MAX_TOLD:  # to look at each costs more than it tells
        return HttpFailure(400, "invalid_value", f"the body: {error.error_count()} of its fields and items are wrong")
    problems = [(_Place.of(problem, sent), problem) for problem in error.errors(include_url=False)[:_LOOKED_AT]]
    # Of the members of a union the one that was meant: the one that got furthest, and says most.
    place, problem = max(problems, key=lambda each: (each[0].depth, _TELLING.get(each[1]["type"], 2)))
    message = "this field is not supported" if problem["type"] == "extra_forbidden" else problem["msg"]
    message = message.removeprefix("Value error, ")
    return HttpFailure(400, "invalid_value", f"{place.path or 'the body'}: {message}", param=place.path or None)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a body something is wrong, without the names that pydantic gives to members of unions."""

    path: str
    depth: int

    @classmethod
    def of(cls, problem: ErrorDetails, sent: Any) -> "_Place":
        path, depth, value = "", 0, sent
        *parts, last = problem["loc"] or ("",)
        for part in (*parts, last):
            is_missing = part is last and problem["type"] == "missing"
            if isinstance(value, list) and isinstance(part, int) and part < len(value):
                path, value = f"{path}[{part}]", value[part]
            elif isinstance(value, dict) and (part in value or is_missing):
                path, value = f"{path}.{part}" if path else str(part), value.get(str(part))
            else:
                continue
            depth += 1
        return cls(path, depth)
