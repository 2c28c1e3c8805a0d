"""One call that is written by hand instead of by a model, and how it went."""

import json
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from gateway.cli.artifacts import Keep, Kept, handed_over
from gateway.cli.client import execute
from gateway.cli.failure import Failure, Peer
from gateway.cli.live import Live, Unit
from gateway.cli.options import Mode
from gateway.cli.paced_turn import Clock, LoopClock, PacedTurn
from gateway.cli.pieces import pieces
from gateway.cli.sanitise import Sanitiser, gist
from gateway.cli.show import Show
from gateway.cli.written_call import CallFormat
from gateway.message_json import seconds, to_data, word
from protos.conveyor.gateway.v1 import gateway_pb2
from protos.conveyor.tool.v1 import tool_pb2 as pb
from protos.rpc.context import new_request_id
from protos.rpc.errors import Reason

_CLOCK = LoopClock()
_CORRECT = "Correct --arguments; `conveyor tools list --json` shows the schema."
_CORRECT_NAME = "Correct the tool's name; `conveyor tools list` shows what there is."
_OF_THE_SERVICE: dict[str, str] = {
    Reason.UNKNOWN_TOOL: _CORRECT_NAME,
    Reason.INVALID_TOOL_USE: "Correct the tool's name or --format; `conveyor tools list` shows what there is.",
    Reason.DEADLINE_EXCEEDED: "Allow more time with --timeout, or give it less to do.",
}
_NOT_ASKED = "a person must allow this call, and nobody was asked"
_REMEDIES = {
    "INVALID_ARGUMENTS": _CORRECT,
    "MALFORMED": _CORRECT,
    "UNKNOWN_TOOL": _CORRECT_NAME,
    "REJECTED": "The tool refused what it was given; correct --arguments.",
    "RAISED": "The tool itself failed: is it what it was given with --arguments, or a mistake in the tool?",
    "DENIED": "Allow it with --approve.",
    "TIMEOUT": "Give it less to do; `conveyor tools list` shows how long the tool may work.",
}


@dataclass(frozen=True, slots=True)
class HandCall:
    """A call of the tool `name`, whose text is the whole turn. `approve` answers where a person must allow it."""

    name: str
    text: str
    call_format: CallFormat
    mode: Mode
    approve: bool = False

    def start(self) -> pb.ExecuteRequest:
        """The command that opens its turn."""
        start = pb.Start(format=self.call_format, tools=[self.name], mode=self.mode.on_the_wire, stream_arguments=True)
        return pb.ExecuteRequest(start=start)


@dataclass(frozen=True, slots=True)
class Pace:
    """What is known of a call because it was written at a rate. A veto spared `spared_count` tokens."""

    tokens_per_second: float
    units: tuple[Unit, ...]
    finished: gateway_pb2.Finished
    spared_count: int

    @property
    def completion_seconds(self) -> float:
        """How long it took in all."""
        return seconds(self.finished.ledger.completion)

    def to_json(self) -> dict[str, Any]:
        """The pace as data."""
        return {
            "tokens_per_second": self.tokens_per_second,
            "tokens": self.finished.usage.completion_tokens,
            "finish_reason": word(self.finished, "finish_reason"),
            "units": [unit.to_json() for unit in self.units],
            "ledger": to_data(self.finished.ledger),
        }


@dataclass(frozen=True, slots=True)
class HandRun:
    """How a call went. `pace` is there where it was written at a rate."""

    call: HandCall
    output: str
    finished: pb.CallFinished
    failure: Failure | None
    artifacts: tuple[Kept, ...] = ()
    pace: Pace | None = None

    def to_json(self) -> dict[str, Any]:
        """The run as data."""
        data: dict[str, Any] = {
            "name": self.call.name,
            "arguments": json.loads(self.finished.arguments_json or "null"),
            "output": self.output,
        }
        data |= {"result": self.finished.result} if self.failure is None else {"error": self.failure.to_json()}
        data |= to_data(self.finished.timing)
        if self.artifacts:
            data["artifacts"] = [kept.to_json() for kept in self.artifacts]
        return data if self.pace is None else data | {"mode": str(self.call.mode)} | self.pace.to_json()


async def run_at_once(peer: Peer, call: HandCall, timeout_seconds: float | None, keep: Keep, *, quiet: bool) -> HandRun:
    """Runs a call whose text is there at once; prints its output as it comes. Raises `Failure`."""
    request_id, follower = new_request_id(), _Follower(keep, quiet)
    turn = _turn(call.text)
    async with aclosing(_execute(peer, call, turn, request_id, timeout_seconds)) as responses:
        async for response in responses:
            follower.take(response)
    follower.close()
    return replace(_run_of(call, follower.output, follower.finished, request_id), artifacts=tuple(follower.artifacts))


async def run_paced(
    peer: Peer,
    call: HandCall,
    tokens_per_second: float,
    timeout_seconds: float | None,
    keep: Keep,
    show: Show,
    clock: Clock = _CLOCK,
) -> HandRun:
    """Runs a call while its text is written at a rate; `show` is told of everything. Raises `Failure`."""
    live, request_id = Live(keep), new_request_id()

    def tell(event: gateway_pb2.CompleteResponse) -> None:
        live.apply(event)
        show.event(live, event)

    turn = PacedTurn(pieces(call.text), tokens_per_second, tell, clock)
    async with show, aclosing(_execute(peer, call, turn.commands(), request_id, timeout_seconds)) as responses:
        async for response in responses:
            turn.take(response)
        finished = turn.finish(request_id)
    calls = list(live.calls.values())
    units = tuple(unit for one in calls for unit in one.units)
    pace = Pace(tokens_per_second, units, finished, turn.unwritten_count)
    artifacts = tuple(kept for one in calls for kept in one.artifacts)
    ran = _run_of(call, calls[0].output.raw if calls else "", turn.outcome, request_id)
    return replace(ran, artifacts=artifacts, pace=pace)


async def _execute(
    peer: Peer,
    call: HandCall,
    turn: AsyncGenerator[pb.ExecuteRequest, None],
    request_id: str,
    timeout_seconds: float | None,
) -> AsyncGenerator[pb.ExecuteResponse, None]:
    """The events of its turn. What the service says is wrong is remedied by this command's options."""
    events = execute(peer, call.start(), turn, request_id, timeout_seconds, approve=call.approve)
    try:
        async with aclosing(events) as responses:
            async for response in responses:
                yield response
    except Failure as failure:
        failure.remedy = _OF_THE_SERVICE.get(failure.reason, failure.remedy)
        raise


async def _turn(text: str) -> AsyncGenerator[pb.ExecuteRequest, None]:
    """The commands of a turn whose text is there at once."""
    yield pb.ExecuteRequest(text_delta=pb.TextDelta(text=text))
    yield pb.ExecuteRequest(turn_end=pb.TurnEnd(reason=pb.TURN_END_REASON_STOP))


class _Follower:
    """Prints output as it comes, unless it is to be `quiet`. Keeps that and the outcome of the first call.

    Calls that its tool made are the tool's affair.
    """

    def __init__(self, keep: Keep, quiet: bool) -> None:
        self.output = ""
        self.finished: pb.CallFinished | None = None
        self.artifacts: list[Kept] = []
        self._keep = keep
        self._quiet = quiet
        self._call_id = ""
        self._sanitiser = Sanitiser()

    def take(self, response: pb.ExecuteResponse) -> None:
        """Takes the next event. One of an unknown kind changes nothing."""
        match response.WhichOneof("event"):
            case "call_opened":
                self._call_id = self._call_id or response.call_opened.call_id
            case "call_output" if response.call_output.call_id == self._call_id:
                self.output += response.call_output.text
                self._print(self._sanitiser.feed(response.call_output.text))
            case "call_artifact":
                self._hand_over(self._keep(response.call_artifact))
            case "call_finished" if response.call_finished.call_id == self._call_id:
                self.finished = response.call_finished

    def close(self) -> None:
        """Ends the last line of output."""
        if self.output:
            self._print(self._sanitiser.close() + ("" if self.output.endswith("\n") else "\n"))

    def _hand_over(self, kept: Kept) -> None:
        self.artifacts.append(kept)
        self._print(f"{handed_over(kept)}\n")

    def _print(self, text: str) -> None:
        if not self._quiet:
            print(text, end="", file=sys.stderr, flush=True)


def _run_of(call: HandCall, output: str, finished: pb.CallFinished | None, request_id: str) -> HandRun:
    if finished is None:
        cause = f"the text was not read as a call of {call.name}"
        raise Failure(cause, "Is it in `conveyor tools list`?", request_id, reason="MALFORMED")
    failure = _failure(call, finished.error, request_id) if finished.HasField("error") else None
    return HandRun(call, output, finished, failure)


def _failure(call: HandCall, error: pb.ToolError, request_id: str) -> Failure:
    """The cause is what matters of the message; where that has more lines, such as a traceback's, they follow."""
    message = _NOT_ASKED if error.code == "DENIED" and not call.approve else error.message
    lines = message.rstrip().split("\n")
    return Failure(
        f"{call.name}: {error.code}: {gist(message, 1000)}",
        _REMEDIES.get(error.code, "Correct what the tool was given with --arguments."),
        request_id,
        lines if len(lines) > 1 else (),
        reason=error.code,
        message=message,
    )
