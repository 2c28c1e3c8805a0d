"""How a completion ended that did not come to its end."""

import asyncio

from protos.rpc import context
from protos.rpc.errors import UNEXPECTED, Reason, ServiceError

_SAID = {
    Reason.DEADLINE_EXCEEDED: "the completion's time was up",
    Reason.CANCELLED: "it was cancelled, or whoever asked for it has left",
}


def error_of(error: BaseException) -> ServiceError:
    """What `error`, which ended a completion of the running request, is to those who ask how it went."""
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        late = context.current().remaining_seconds() == 0
        reason = Reason.DEADLINE_EXCEEDED if late else Reason.CANCELLED
        return ServiceError(reason, _SAID[reason])
    return ServiceError(Reason.INTERNAL, UNEXPECTED)
