"""What the execution of calls says; see `ExecuteResponse` in the contract for order and meaning."""

from dataclasses import dataclass

from tool_service.interface.artifact import Artifact
from tool_service.interface.meter import Unit


@dataclass(frozen=True, slots=True)
class CallOpened:
    """A call's name is sealed, `offset` characters into the turn. `parent_id`: the call whose tool made it, if any."""

    call_id: str
    name: str
    offset: int
    parent_id: str = ""


@dataclass(frozen=True, slots=True)
class ContentDelta:
    """More of what the turn says beside its calls, where that is wanted."""

    text: str
    reasoning: bool


@dataclass(frozen=True, slots=True)
class ArgumentsDelta:
    """More of one argument of a call, where that is wanted: more of a string, or the whole of another value."""

    call_id: str
    argument: str
    text: str | None = None
    value_json: str | None = None


@dataclass(frozen=True, slots=True)
class CallStarted:
    """A call's tool began to run. `after`: the inner calls whose results it needed."""

    call_id: str
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UnitFinished:
    """A piece of a call's work is done."""

    call_id: str
    unit: Unit


@dataclass(frozen=True, slots=True)
class CallOutput:
    """Streamed output."""

    call_id: str
    text: str


@dataclass(frozen=True, slots=True)
class CallArtifact:
    """Bytes beside the text."""

    call_id: str
    artifact: Artifact


@dataclass(frozen=True, slots=True)
class ApprovalAwaited:
    """A sealed call waits for a person's word, for `timeout` seconds."""

    call_id: str
    request_id: str
    arguments_json: str
    timeout: float


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call failed; `code` is one of the contract's `ToolError.code`."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class HandedOver:
    """The call is the client's to run."""


Outcome = str | Failure | HandedOver


@dataclass(frozen=True, slots=True)
class CallFinished:
    """A call has ended. `arguments_json` is empty unless it was sealed, `sealed_at` characters into the turn; times in
    seconds."""

    call_id: str
    outcome: Outcome
    arguments_json: str
    busy: float
    waiting: float
    queued: float
    sealed_at: int | None = None


@dataclass(frozen=True, slots=True)
class TurnFilled:
    """The turn has the one call that it may have."""


@dataclass(frozen=True, slots=True)
class TurnVetoed:
    """A call stopped the turn."""

    call_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class TurnFinished:
    """Every call of the turn has finished."""

    call_count: int


Event = (
    CallOpened
    | ContentDelta
    | ArgumentsDelta
    | CallStarted
    | UnitFinished
    | CallOutput
    | CallArtifact
    | ApprovalAwaited
    | CallFinished
    | TurnFilled
    | TurnVetoed
    | TurnFinished
)
