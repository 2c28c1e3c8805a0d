"""What is known of a running completion: events go in; data for programs comes out, and what `panes.py` draws.

Text is kept twice: as the model wrote it, for JSON and for replaying it, and made harmless, for the terminal.
"""

import enum
import json
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import duration_pb2

from gateway.cli.artifacts import Keep, Kept, only_named
from gateway.cli.sanitise import Sanitiser, one_line, printable
from gateway.message_json import seconds, to_data, word
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.conveyor.gateway.v1.gateway_pb2 import (
    ArgumentsDelta,
    CallFinished,
    CompleteResponse,
    Finished,
    Ledger,
    TurnDecoded,
    UnitFinished,
)

_LEAST_SHOWN_SECONDS = 0.005  # less is nothing where two decimals are shown
_LEAST_TOOL_SECONDS = 0.01  # less is nothing to speak of
_STOPPED = {pb.FINISH_REASON_LENGTH: "stopped: token limit", pb.FINISH_REASON_TURNS: "stopped: turn limit"}


class Phase(enum.StrEnum):
    """How far a call has come."""

    OPENED = "opened"
    RUNNING = "running"
    AWAITING = "waits to be allowed"
    FINISHED = "finished"
    FAILED = "failed"


@dataclass(slots=True)
class Written:
    """Text that grows: as it came, and as it may be shown."""

    raw: str = ""
    shown: str = ""
    _sanitiser: Sanitiser = field(default_factory=Sanitiser)

    def add(self, text: str) -> None:
        """Appends a piece."""
        self.raw += text
        self.shown += self._sanitiser.feed(text)

    def close(self) -> None:
        """Shows what was held back; nothing more is coming."""
        self.shown += self._sanitiser.close()


@dataclass(slots=True)
class Turn:
    """One turn of a completion."""

    text: Written = field(default_factory=Written)
    decoded: TurnDecoded | None = None
    decoded_at: float | None = None
    _lengths: list[int] = field(default_factory=list)  # of the text so far, ascending
    _times: list[float] = field(default_factory=list)  # when it had that length

    def add(self, text: str, at: float) -> None:
        """Appends a piece of text that was there `at`."""
        self.text.add(text)
        self._lengths.append(len(self.text.raw))
        self._times.append(at)

    def reached(self, text_offset: int, now: float) -> float:
        """When the text was so long; `now` where it never was."""
        place = bisect_left(self._lengths, text_offset)
        return self._times[place] if place < len(self._times) else now

    def hidden(self, busy: float, now: float) -> float:
        """The part of the `busy` seconds before `now` in which the turn was still being decoded."""
        after = 0.0 if self.decoded_at is None else max(0.0, now - self.decoded_at)
        return max(0.0, busy - after)

    def to_json(self) -> dict[str, Any]:
        """The turn as data."""
        if self.decoded is None:
            return {"text": self.text.raw, "finish_reason": None, "usage": None}
        return {
            "text": self.text.raw,
            "finish_reason": word(self.decoded, "finish_reason"),
            "usage": to_data(self.decoded.usage),
        }


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of a call's work that is done: `busy` seconds, of which `hidden` fell before the turn's last token.

    On the decoder's clock, `text_at` is when its text was there, and `at` when it was heard to be done.
    """

    label: str
    text_offset: int
    text_at: float
    at: float
    busy: float
    hidden: float

    def how_hidden(self) -> str:
        """Whether decoding hid it, in words."""
        exposed = self.busy - self.hidden
        if exposed <= 0 or exposed < _LEAST_SHOWN_SECONDS <= self.hidden:
            return "hidden"
        return f"{self.hidden:.2f} s hidden" if self.hidden >= _LEAST_SHOWN_SECONDS else "not hidden"

    def to_json(self) -> dict[str, Any]:
        """The unit as data."""
        return {
            "label": self.label,
            "text_offset": self.text_offset,
            "text_at_seconds": round(self.text_at, 6),
            "at_seconds": round(self.at, 6),
            "busy_seconds": self.busy,
            "hidden_seconds": round(self.hidden, 6),
        }


@dataclass(slots=True)
class Call:
    """One call. `label` is its name, made harmless, with a number from the second call of the same tool on."""

    id: str
    name: str
    label: str
    turn: int
    opened_at: float
    phase: Phase = Phase.OPENED
    started_at: float | None = None
    arguments: Written = field(default_factory=Written)
    output: Written = field(default_factory=Written)
    units: list[Unit] = field(default_factory=list)
    artifacts: list[Kept] = field(default_factory=list)
    outcome: CallFinished | None = None
    awaited_until: float | None = None  # when the time to allow it is up
    to_allow: str = ""  # its arguments, all of them, for who must allow it
    question: str = ""  # put to who watches

    def add_argument(self, delta: ArgumentsDelta) -> None:
        """More of an argument, as far as it is written."""
        if not delta.text:  # it begins
            self.arguments.add(f"{', ' if self.arguments.raw else ''}{delta.argument}=")
        self.arguments.add(delta.text or delta.value_json)

    def elapsed(self, now: float) -> float:
        """Seconds since its tool began to run or, before that, since its name was read; in the end, those it worked.

        While it waits to be allowed, those that are left.
        """
        if self.outcome is not None:
            return seconds(self.outcome.busy)
        if self.phase is Phase.AWAITING and self.awaited_until is not None:
            return max(0.0, self.awaited_until - now)
        return max(0.0, now - (self.opened_at if self.started_at is None else self.started_at))

    def last_words(self) -> str:
        """The newest thing to show: the outcome, else output, else the arguments as far as they are written."""
        if self.outcome is not None and self.outcome.HasField("error"):
            return printable(self.outcome.error.message)
        if self.outcome is not None:
            return printable(self.outcome.result) or self.output.shown or "(no output)"
        return self.output.shown or self.arguments.shown

    def error_code(self) -> str:
        """Why it failed, in a word; empty where it did not."""
        return one_line(self.outcome.error.code) if self.outcome is not None else ""

    def to_json(self) -> dict[str, Any]:
        """The call as data; `arguments` is null unless the call was sealed."""
        data: dict[str, Any] = {
            "id": self.id,
            "name": self.name,
            "turn": self.turn,
            "arguments": None,
            "output": self.output.raw,
        }
        if self.artifacts:
            data["artifacts"] = [kept.to_json() for kept in self.artifacts]
        if self.outcome is None:
            return data
        data["arguments"] = _parsed(self.outcome.arguments_json)
        if self.outcome.HasField("error"):
            data["error"] = to_data(self.outcome.error)
        else:
            data["result"] = self.outcome.result
        return data | {"busy_seconds": seconds(self.outcome.busy), "waiting_seconds": seconds(self.outcome.waiting)}


class Live:
    """The state of one completion. `at` is the time of the newest event, in seconds on the decoder's clock.

    Artifacts are given to `keep`, and what that says of them is remembered instead.
    """

    def __init__(self, keep: Keep = only_named) -> None:
        self._keep = keep
        self.turns: list[Turn] = []
        self.calls: dict[str, Call] = {}
        self.finished: Finished | None = None
        self.at = 0.0

    def apply(self, response: CompleteResponse) -> None:
        """Takes the next event. An event of a kind that is not known here changes nothing."""
        if not response.HasField("finished"):
            self.at = seconds(response.at)
        match response.WhichOneof("event"):
            case "turn_started":
                self.turns.append(Turn())
            case "text_delta":
                self._turn().add(response.text_delta.text, self.at)
            case "turn_decoded":
                self._turn().decoded, self._turn().decoded_at = response.turn_decoded, self.at
                self._turn().text.close()
            case "finished":
                self.finished = response.finished
            case "call_opened":
                self._open(response.call_opened.call_id, response.call_opened.name)
            case _:
                self._apply_to_call(response)

    @property
    def text(self) -> str:
        """What the model wrote, the turns one below the other."""
        return "\n".join(turn.text.raw for turn in self.turns)

    def to_json(self) -> dict[str, Any]:
        """The completion as data."""
        finished = self.finished or Finished()
        return {
            "request_id": finished.request_id,
            "text": self.text,
            "turns": [turn.to_json() for turn in self.turns],
            "calls": [call.to_json() for call in self.calls.values()],
            "usage": to_data(finished.usage),
            "ledger": to_data(finished.ledger),
            "finish_reason": word(finished, "finish_reason"),
        }

    def _turn(self) -> Turn:
        if not self.turns:
            self.turns.append(Turn())
        return self.turns[-1]

    def _open(self, call_id: str, name: str) -> None:
        same = sum(call.name == name for call in self.calls.values())
        label = one_line(name, 40) + (f" {same + 1}" if same else "")
        self.calls[call_id] = Call(call_id, name, label, max(0, len(self.turns) - 1), self.at)

    def _apply_to_call(self, response: CompleteResponse) -> None:
        kind = response.WhichOneof("event")
        call = self.calls.get(getattr(getattr(response, kind or "finished"), "call_id", ""))
        if call is None:
            return
        if call.phase is Phase.AWAITING:  # whatever comes shows that it waits no longer
            call.phase = Phase.RUNNING
        match kind:
            case "arguments_delta":
                call.add_argument(response.arguments_delta)
            case "call_started":
                call.phase, call.started_at = Phase.RUNNING, self.at
            case "unit_finished":
                call.units.append(self._unit(response.unit_finished, call))
            case "call_output":
                call.output.add(response.call_output.text)
            case "call_artifact":
                call.artifacts.append(self._keep(response.call_artifact))
            case "approval_awaited":
                awaited = response.approval_awaited
                call.phase, call.awaited_until = Phase.AWAITING, self.at + seconds(awaited.timeout)
                call.to_allow = printable(awaited.arguments_json)
            case "call_finished":
                call.outcome = response.call_finished
                call.phase = Phase.FAILED if response.call_finished.HasField("error") else Phase.FINISHED
                call.output.close()

    def _unit(self, finished: UnitFinished, call: Call) -> Unit:
        if not self.turns:
            self.turns.append(Turn())
        turn, busy = self.turns[call.turn], seconds(finished.busy)
        text_at = turn.reached(finished.text_offset, self.at)
        return Unit(finished.label, finished.text_offset, text_at, self.at, busy, turn.hidden(busy, self.at))


def ledger_line(finished: Finished, *, serial: bool = False, whole: bool = False) -> str:
    """Where the time went, in one line that fits 80 columns unless it is `whole` or says why the model was stopped.

    Where calls were to run after their turn, `serial`, the ideal is left out.
    """
    ledger = finished.ledger
    parts = [f"{name} {_short(getattr(ledger, field))}" for name, field in _spans(ledger)]
    if whole and has_tool_work(ledger) and not serial:
        parts += [f"{name} {_short(getattr(ledger, name))}" for name in ("serial", "ideal")]
    if not has_tool_work(ledger):
        parts.append("nothing to hide")
    elif ledger.HasField("attained") and not serial:
        parts.append(f"{share(ledger.attained)} of ideal")
    if finished.finish_reason in _STOPPED:
        parts.append(_STOPPED[finished.finish_reason])
    return " · ".join(parts)


def has_tool_work(ledger: Ledger) -> bool:
    """Whether tools worked long enough for hiding it to mean something."""
    return seconds(ledger.tool) >= _LEAST_TOOL_SECONDS


def share(value: float) -> str:
    """A share in per cent, without a sign where it is nothing."""
    return f"{round(value * 100) or 0}%"


def _spans(ledger: Ledger) -> Iterator[tuple[str, str]]:
    yield from (("completion", "completion"), ("decode", "decode"), ("tools", "tool"))
    if has_tool_work(ledger):
        yield "hidden", "hidden"


def _short(duration: duration_pb2.Duration) -> str:
    """Seconds in at most four characters up to a few hours, so that a line of them keeps its width."""
    value = seconds(duration)
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} s"


def _parsed(arguments_json: str) -> Any:
    return json.loads(arguments_json) if arguments_json else None
