"""Events as lanes of a timeline: one for the decoding of each turn, one for each call.

Times are seconds on the decoder's clock, since the request reached it. How long tools worked is on the tool service's
clock: a piece of work is drawn so that it ends when it was heard to be done. What of it fell before its turn's last
token was hidden behind decoding, as in `gateway/ledger.py`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
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

    @property
    def hidden(self) -> float:
        """Seconds of work that decoding hid."""
        return sum(block.hidden for block in self.blocks)


class Lanes:
    """Takes events in their order."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.calls: dict[str, Call] = {}
        self.end = 0.0
        self._units: dict[str, list[tuple[str, float, float]]] = {}  # label, end, busy

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
            case "turn_decoded" if self.turns:
                turn = self.turns[-1]
                turn.end, turn.finish_reason = at, str(told.get("finish_reason", ""))
                turn.tokens = int(told.get("usage", {}).get("completion_tokens", 0))
            case "call_opened":
                self.calls[told["call_id"]] = Call(told["call_id"], told["name"], max(0, len(self.turns) - 1), at)
            case "call_started" | "unit_finished" | "call_finished" if told.get("call_id") in self.calls:
                self._of_call(self.calls[told["call_id"]], kind, told, at)

    def _of_call(self, call: Call, kind: str, told: Event, at: float) -> None:
        if kind == "call_started":
            call.started = at
        elif kind == "unit_finished":
            self._units.setdefault(call.id, []).append((str(told["label"]), at, float(told["busy_seconds"])))
        else:
            call.end, call.busy = at, float(told.get("busy_seconds", 0.0))
            call.error = str(told.get("error", {}).get("code", ""))
            rest = call.busy - sum(busy for _, _, busy in self._units.get(call.id, ()))
            if rest >= _LEAST_SECONDS:
                self._units.setdefault(call.id, []).append(("", at, rest))
        call.blocks = [self._block(call, *unit) for unit in self._units.get(call.id, ())]

    def _block(self, call: Call, label: str, end: float, busy: float) -> Block:
        decoded = self.turns[call.turn].end if call.turn < len(self.turns) else None
        begin = max(0.0, end - busy)
        return Block(label, begin, end, end - begin if decoded is None else min(max(0.0, decoded - begin), end - begin))
