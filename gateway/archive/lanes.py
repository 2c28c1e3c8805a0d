"""Events as lanes of a timeline: one for the decoding of each turn, one for each call.

Times are seconds on the decoder's clock, since the request reached it. How long tools worked is on the tool service's
clock: a piece of work is drawn so that it ends when it was heard to be done. What of it fell before its turn's last
token was hidden behind decoding, as in `gateway/ledger.py`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

_LEAST_SECONDS = 0.0005  # of work that no unit accounts for; less is the clock's

Event = Mapping[str, Any]  # as `to_data` gives it


@dataclass(frozen=True, slots=True)
class Block:
    """Work from `begin` to `end`, of which `hidden` seconds fell before the turn's last token."""

    label: str
    begin: float
    end: float
    hidden: float


@dataclass(slots=True)
class Turn:
    """The decoding of one turn; `end` is None where its last token never came."""

    number: int
    begin: float
    end: float | None = None
    tokens: int = 0
    finish_reason: str = ""


@dataclass(slots=True)
class Call:
    """A call from when its name was read (`begin`) to its outcome. `turn`: the place of its turn."""

    id: str
    name: str
    turn: int
    begin: float
    started: float | None = None
    end: float | None = None
    busy: float = 0.0
    error: str = ""
    blocks: list[Block] = field(default_factory=list)
    told: float = 0.0  # seconds of work that have a block

    @property
    def hidden(self) -> float:
        """Seconds of work that decoding hid."""
        return sum(block.hidden for block in self.blocks)


class Lanes:
    """Takes events in their order. A block is made when its work ends, and cut once more when its turn is decoded."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.calls: dict[str, Call] = {}
        self.end = 0.0
        self._calls_of_turn: list[Call] = []  # the last one's

    @classmethod
    def of(cls, events: Iterable[Event]) -> "Lanes":
        """Those of a completion."""
        lanes = cls()
        for event in events:
            lanes.add(event)
        return lanes

    def add(self, event: Event) -> None:
        """Takes the next event; one of a kind that has no place here changes nothing."""
        at = float(event.get("at_seconds", 0.0))
        kind = next((name for name in event if name != "at_seconds"), "")
        told = event.get(kind, {})
        if kind == "finished":
            return  # on the gateway's clock
        self.end = max(self.end, at)
        match kind:
            case "turn_started":
                self.turns.append(Turn(int(told.get("turn", len(self.turns))), at))
                self._calls_of_turn = []
            case "turn_decoded" if self.turns:
                self._decoded(self.turns[-1], told, at)
            case "call_opened":
                call = Call(told["call_id"], told["name"], max(0, len(self.turns) - 1), at)
                self.calls[call.id] = call
                self._calls_of_turn.append(call)
            case "call_started" | "unit_finished" | "call_finished" if told.get("call_id") in self.calls:
                self._of_call(self.calls[told["call_id"]], kind, told, at)

    def _decoded(self, turn: Turn, told: Event, at: float) -> None:
        turn.end, turn.finish_reason = at, str(told.get("finish_reason", ""))
        turn.tokens = int(told.get("usage", {}).get("completion_tokens", 0))
        for call in self._calls_of_turn:
            call.blocks = [replace(block, hidden=self._hidden(call, block.begin, block.end)) for block in call.blocks]

    def _of_call(self, call: Call, kind: str, told: Event, at: float) -> None:
        if kind == "call_started":
            call.started = at
        elif kind == "unit_finished":
            self._worked(call, str(told["label"]), at, float(told["busy_seconds"]))
        else:
            call.end, call.busy = at, float(told.get("busy_seconds", 0.0))
            call.error = str(told.get("error", {}).get("code", ""))
            rest = call.busy - call.told
            if rest >= _LEAST_SECONDS:
                self._worked(call, "", at, rest)

    def _worked(self, call: Call, label: str, end: float, busy: float) -> None:
        begin = max(0.0, end - busy)
        call.told += busy
        call.blocks.append(Block(label, begin, end, self._hidden(call, begin, end)))

    def _hidden(self, call: Call, begin: float, end: float) -> float:
        """All of it while the turn is being decoded."""
        decoded = self.turns[call.turn].end if call.turn < len(self.turns) else None
        return end - begin if decoded is None else min(max(0.0, decoded - begin), end - begin)
