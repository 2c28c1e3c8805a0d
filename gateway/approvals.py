"""Which calls wait for a person's word, and how it reaches them.

A call is awaited from its `ApprovalAwaited` to its `CallFinished` or the end of its completion. The word takes the way
of the completion's own stream, so the gateway that holds the completion must hear it, and no other can. Who has a
key speaks of completions under that key alone.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.request import shown
from protos.conveyor.decoder.v1 import decoder_pb2
from protos.conveyor.gateway.v1 import gateway_pb2
from protos.rpc import context
from protos.rpc.errors import Reason, reject, reject_field

MAX_REASON_CHARS = 1000

Place = tuple[str, str, str]  # whose completion, its id, the call's
Decide = Callable[[decoder_pb2.Decide], None]


class Approvals:
    """The calls that wait, by completion and call.

    A client that tries again while its first try still runs has two completions of one id. A word is for both: to them
    it is one call, which acts once.
    """

    def __init__(self) -> None:
        self._awaited: dict[Place, set[Decide]] = {}

    @contextmanager
    def of(self, request_id: str, decide: Decide) -> Iterator["CompletionApprovals"]:
        """The approvals of one completion; `decide` passes a word on to it."""
        calls = CompletionApprovals(self._awaited, context.current().caller, request_id, decide)
        try:
            yield calls
        finally:
            calls.close()

    def approve(self, request: gateway_pb2.ApproveRequest) -> None:
        """Passes a person's word on. Raises ServiceError NOT_AWAITED where nobody waits for it."""
        if len(request.reason) > MAX_REASON_CHARS:
            told = f"has {len(request.reason)} characters; at most {MAX_REASON_CHARS} are taken."
            reject_field(Reason.INVALID_LIMIT, "reason", told)
        waiting = self._awaited.pop((context.current().caller, request.request_id, request.call_id), None)
        if waiting is None:
            reject(
                Reason.NOT_AWAITED,
                f"no call {shown(request.call_id)} of completion {shown(request.request_id)} waits here to be allowed.",
            )
        for decide in waiting:
            decide(decoder_pb2.Decide(call_id=request.call_id, approved=request.approved, reason=request.reason))


class CompletionApprovals:
    """Follows the events of one completion."""

    def __init__(self, awaited: dict[Place, set[Decide]], caller: str, request_id: str, decide: Decide) -> None:
        self._awaited = awaited
        self._caller = caller
        self._request_id = request_id
        self._decide = decide
        self._calls: set[str] = set()

    def observe(self, response: decoder_pb2.GenerateResponse) -> None:
        """Takes the next event."""
        match response.WhichOneof("event"):
            case "approval_awaited":
                call_id = response.approval_awaited.call_id
                self._calls.add(call_id)
                self._awaited.setdefault(self._place(call_id), set()).add(self._decide)
            case "call_finished" if response.call_finished.call_id in self._calls:
                self._forget(response.call_finished.call_id)

    def close(self) -> None:
        """Nothing of the completion waits any longer."""
        for call_id in tuple(self._calls):
            self._forget(call_id)

    def _forget(self, call_id: str) -> None:
        self._calls.discard(call_id)
        waiting = self._awaited.get(self._place(call_id), set())
        waiting.discard(self._decide)
        if not waiting:
            self._awaited.pop(self._place(call_id), None)

    def _place(self, call_id: str) -> Place:
        return self._caller, self._request_id, call_id
