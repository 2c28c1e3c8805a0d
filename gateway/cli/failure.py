"""What a user is told when a command fails: the cause, what to do about it, and the request's id."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from rich.console import Console
from rich.text import Text

from gateway.cli.credentials import KEY_VARIABLE, Credentials
from gateway.cli.sanitise import one_line, printable
from protos.rpc.errors import Reason, from_rpc_error, request_id_of

_SHORTEN = "Shorten the prompt, or serve a model with a longer context: `conveyor up --model NAME`."
_LIST = "`conveyor tools list` names what there is."
_REPLAY = "Correct the --replay file: plain text, a JSON list of turns, or what `conveyor ask --json` printed."
_START = "Start the services with `conveyor up`; while it loads a model, wait until it says ready."
_KEY = (
    f"Set {KEY_VARIABLE} to an API key of this gateway, or name a file that holds one with --key-file; "
    "on the gateway's machine `conveyor keys new NAME` makes one."
)
_BUG = "The logs of the services have the details under this request id; `conveyor up` prints where they are."

REMEDIES: dict[Reason, str] = {
    Reason.EMPTY_PROMPT: 'Give a prompt: conveyor ask "What is 6 * 7?"',
    Reason.PROMPT_TOO_LONG: _SHORTEN,
    Reason.INVALID_MESSAGE: "Correct the prompt or the --system text.",
    Reason.INVALID_LIMIT: "Correct --max-tokens, --max-turns or --stop.",
    Reason.INVALID_SAMPLING: "Correct --temperature, --top-p, --top-k or --seed.",
    Reason.INVALID_SCHEMA: "Correct the JSON schema.",
    Reason.INVALID_REPLAY: _REPLAY,
    Reason.INVALID_TOOL_USE: f"Correct --tools, --format or --choice; {_LIST}",
    Reason.UNKNOWN_TOOL: f"Correct --tools; {_LIST}",
    Reason.UNKNOWN_FORMAT: f"Correct --format; {_LIST}",
    Reason.NOT_AWAITED: "Name a call that waits: the event `approval_awaited` has its ids, for as long as it waits.",
    Reason.PROTOCOL_VIOLATION: "Are the command line and the services of the same version? Install them together.",
    Reason.UNAUTHENTICATED: _KEY,
    Reason.OVERLOADED: "Try again in a moment.",
    Reason.DRAINING: "The services are shutting down; start them with `conveyor up` and try again.",
    Reason.DECODER_UNAVAILABLE: _START,
    Reason.TOOL_SERVICE_UNAVAILABLE: "Start the services with `conveyor up`, or ask without --tools.",
    Reason.DEADLINE_EXCEEDED: "Allow more time with --timeout, or ask for less with --max-tokens.",
    Reason.CANCELLED: "Try again; if that was not you, see the logs of the services.",
    Reason.INTERNAL: _BUG,
}


@dataclass(frozen=True, slots=True)
class Peer:
    """A service that a command speaks to, the option that says where it is, and what is shown to it."""

    name: str
    address: str
    option: str
    credentials: Credentials = field(default_factory=Credentials)


class Failure(Exception):
    """Ends a command with exit code 1. `details` are lines to show after the cause, such as the end of a log.

    Programs are told `reason`, a word to switch on, `message`, by default the cause, and `field`, the path of what is
    to blame in the request.
    """

    def __init__(
        self,
        cause: str,
        remedy: str,
        request_id: str = "",
        details: Sequence[str] = (),
        *,
        reason: str = Reason.INTERNAL,
        message: str = "",
        field: str = "",
    ) -> None:
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy
        self.request_id = request_id
        self.details = tuple(details)
        self.reason = reason
        self.message = message or cause
        self.field = field

    def to_json(self) -> dict[str, Any]:
        """The failure as data."""
        return {
            "reason": str(self.reason),
            "message": self.message,
            "field": self.field,
            "remedy": self.remedy,
            "request_id": self.request_id,
        }


def failure_of(error: grpc.aio.AioRpcError, peer: Peer, request_id: str, *, begun: bool = False) -> Failure:
    """Explains the failed call of `peer`. `request_id` is the one that was sent along; `begun`: answers had come."""
    told = request_id_of(error)
    if not told and (transport := _of_transport(error, peer, request_id, begun)) is not None:
        return transport
    service_error = from_rpc_error(error, Reason.INTERNAL)
    remedy = REMEDIES[service_error.reason]
    if service_error.retry_seconds is not None:
        remedy = f"Try again in {service_error.retry_seconds:g} s."
    return Failure(
        str(service_error),
        remedy,
        told or request_id,
        reason=service_error.reason,
        message=service_error.message,
        field=service_error.field,
    )


def show_failure(failure: Failure, console: Console) -> None:
    """Prints a line of cause, the details, a line of remedy and the request id."""
    console.print(Text.assemble(("error: ", "bold red"), one_line(failure.cause, 2000)), soft_wrap=True)
    for line in failure.details:
        console.print(Text(f"  | {printable(line)}", style="dim"), soft_wrap=True)
    console.print(Text(one_line(failure.remedy, 2000)), soft_wrap=True)
    if failure.request_id:
        console.print(Text(f"request id: {one_line(failure.request_id)}", style="dim"), soft_wrap=True)


def _of_transport(error: grpc.aio.AioRpcError, peer: Peer, request_id: str, begun: bool) -> Failure | None:
    """The failure where no service has told one; None where the status says enough."""
    code, details = error.code(), error.details() or ""
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return _late(request_id)
    if begun and (code is grpc.StatusCode.UNAVAILABLE or details == "Stream removed"):
        return _gone(peer, request_id)
    if code is grpc.StatusCode.UNAVAILABLE:
        if is_of_tls(details):
            return _distrusted(peer, details, request_id)
        return _unreachable(peer, request_id, answers="unhealthy" in details)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        remedy = f"Is {peer.option} right? Another service or version listens there."
        cause = f"{peer.address} does not answer as the {peer.name}"
        return Failure(cause, remedy, request_id, reason=code.name)
    return None


def _gone(peer: Peer, request_id: str) -> Failure:
    remedy = "Does it still run? Its log says why it went; start the services with `conveyor up` and try again."
    cause = f"the {peer.name} at {peer.address} went away in the middle of the request"
    return Failure(cause, remedy, request_id, reason=grpc.StatusCode.UNAVAILABLE.name)


def is_of_tls(details: str) -> bool:
    """Whether a status of gRPC's own says that the two could not agree on TLS."""
    return "handshake" in details.lower() or "peer name" in details.lower()


def _distrusted(peer: Peer, details: str, request_id: str) -> Failure:
    cause = f"the {peer.name} at {peer.address} and this command do not trust each other: {details}"
    remedy = (
        "Is --ca the authority of its certificate, and is --server-name, or else the address, a name in it? "
        "Where it wants a certificate, show one with --client-cert and --client-key."
    )
    return Failure(cause, remedy, request_id, reason=grpc.StatusCode.UNAVAILABLE.name)


def _late(request_id: str) -> Failure:
    reason, message = Reason.DEADLINE_EXCEEDED, "the request was not done in the time that it was given"
    return Failure(f"{reason}: {message}", REMEDIES[reason], request_id, reason=reason, message=message)


def _unreachable(peer: Peer, request_id: str, *, answers: bool) -> Failure:
    reason = grpc.StatusCode.UNAVAILABLE.name
    if answers:  # its health does not say SERVING, so gRPC sends it no calls
        remedy = "Wait until `conveyor up` says ready; the service's log says what it waits for."
        return Failure(f"the {peer.name} at {peer.address} is not ready", remedy, request_id, reason=reason)
    remedy = (
        f"Start the services with `conveyor up`, wait until it says ready, or say where they are with {peer.option}. "
    )
    if peer.credentials.tls.ca:
        remedy += "Does it speak TLS, and want another certificate than --client-cert?"
    else:
        remedy += "Where they speak TLS, name the authority of their certificates with --ca."
    return Failure(f"no {peer.name} answers at {peer.address}", remedy, request_id, reason=reason)
