"""Completions that are made up: their events as `/v1/completions/{id}` tells them, at any size, the same every time."""

import random
from dataclasses import dataclass, field
from typing import Any

from gateway import ledger

Event = dict[str, Any]

_WORDS = (
    "total",
    " =",
    " sum",
    "(rows",
    "[",
    "7",
    "]",
    ")",
    "\n",
    "print",
    "(",
    "total",
    ")",
    " #",
    " so",
    " far",
    "\n",
)
_LATE_SECONDS = 0.001  # until it is heard at the decoder what a tool has done


@dataclass(slots=True)
class Shape:
    """How large a completion is. The calls are spread over the turns, the units over their text."""

    tokens: int = 2000
    calls: int = 40
    turns: int = 4
    units: int = 6
    token_seconds: float = 0.01
    busy_seconds: float = 0.05
    prompt_seconds: float = 0.12
    mode: str = "partial"
    tools: tuple[str, ...] = ("python", "calculator", "search", "sql")
    failing: int = 0  # of so many calls, one; none where it is zero


@dataclass(slots=True)
class Script:
    """Gathers a completion's events. Tools do in `serial` and `parallel` after the turn what they do beside it else."""

    shape: Shape
    request_id: str = "made-up"
    events: list[Event] = field(default_factory=list)
    _chance: random.Random = field(default_factory=lambda: random.Random(7))
    _account: ledger.Timeline = field(default_factory=ledger.Timeline)
    _called: int = 0

    def run(self) -> list[Event]:
        """All events, in the order in which a client hears of them."""
        begin = 0.0
        for number in range(self.shape.turns):
            begin = self._turn(number, begin)
        self._finish(begin)
        return self.events

    def _turn(self, number: int, begin: float) -> float:
        """One turn; gives its end."""
        shape = self.shape
        per_turn, calls = shape.tokens // shape.turns, shape.calls // shape.turns
        made: list[tuple[float, str, Event]] = []
        start = begin + shape.prompt_seconds
        made.append((start, "turn_started", {"turn": number}))
        texts = [_WORDS[place % len(_WORDS)] for place in range(per_turn)]
        lengths = [0]
        for place, text in enumerate(texts):
            lengths.append(lengths[-1] + len(text))
            made.append((start + (place + 1) * shape.token_seconds, "text_delta", {"text": text, "token_ids": [place]}))
        decoded = start + per_turn * shape.token_seconds
        free, end = decoded, decoded
        per_call = per_turn // max(1, calls)
        for place in range(calls):
            free = self._call(made, start, decoded, free, place * per_call, per_call, lengths)
            end = max(end, free, *(at for at, kind, _ in made if kind == "call_finished"))
        usage = {"prompt_tokens": 120, "cached_tokens": 0, "completion_tokens": per_turn}
        made.append((decoded, "turn_decoded", {"turn": number, "finish_reason": "stop", "usage": usage}))
        made.append((end, "turn_finished", {"turn": number, "call_count": calls}))
        for at, kind, data in sorted(made, key=lambda each: each[0]):
            self._add(at, kind, data)
        return end

    def _call(
        self,
        made: list[tuple[float, str, Event]],
        start: float,
        decoded: float,
        free: float,
        first: int,
        count: int,
        lengths: list[int],
    ) -> float:
        """One call whose text begins at token `first`; serial tools may go on at `free`. Gives when the next may."""
        shape = self.shape
        self._called += 1
        call_id, name = f"call_{self._called}", shape.tools[self._called % len(shape.tools)]
        opened = start + (first + 1) * shape.token_seconds
        named = {"call_id": call_id}
        made.append(
            (opened, "call_opened", {**named, "name": name, "text_offset": lengths[first + 1], "parent_id": ""})
        )
        made.append((opened, "arguments_delta", {**named, "argument": "code", "text": ""}))
        early = shape.mode == "partial"
        at = opened if early else max(decoded, free if shape.mode == "serial" else decoded)
        made.append((at, "call_started", {**named, "after": []}))
        total = 0.0
        for unit in range(shape.units):
            token = first + (unit + 1) * count // shape.units
            there = start + token * shape.token_seconds
            made.append((there, "arguments_delta", {**named, "argument": "code", "text": f"statement_{unit}()\n"}))
            busy = shape.busy_seconds * self._chance.uniform(0.2, 2)
            at = (max(at, there) if early else at) + busy + _LATE_SECONDS
            total += busy
            told = {"label": f"statement_{unit}()", "text_offset": lengths[token], "busy_seconds": busy}
            made.append((at, "call_output", {**named, "text": f"line {unit} of {call_id}\n"}))
            made.append((at, "unit_finished", {**named, **told}))
        fails = shape.failing and self._called % shape.failing == 0
        outcome = {"error": {"code": "RAISED", "message": "ValueError: no"}} if fails else {"result": f"done {call_id}"}
        told = {"arguments_json": '{"code": ""}', "busy_seconds": total, "waiting_seconds": 0.0}
        made.append((at, "call_finished", {**named, **outcome, **told}))
        return at

    def _add(self, at: float, kind: str, data: Event) -> None:
        self.events.append({"at_seconds": round(at, 6), kind: data})
        match kind:
            case "text_delta":
                self._account.add(ledger.TextDecoded(at, len(data["text"])))
            case "call_started":
                self._account.add(ledger.CallStarted(at, data["call_id"], ()))
            case "unit_finished":
                unit = ledger.UnitFinished(at, data["call_id"], data["text_offset"], data["busy_seconds"])
                self._account.add(unit)
            case "call_finished":
                self._account.add(ledger.CallFinished(at, data["call_id"], data["busy_seconds"]))
            case "turn_decoded":
                self._account.add(ledger.TurnDecoded(at))
            case "turn_finished":
                self._account.add(ledger.TurnFinished(at))

    def _finish(self, end: float) -> None:
        account = self._account.close(end + 0.003)
        told: Event = {f"{name}_seconds": getattr(account, name) for name in ("completion", "decode", "tool", "hidden")}
        told |= {f"{name}_seconds": getattr(account, name) for name in ("serial", "ideal")}
        if account.attained is not None:
            told["attained"] = account.attained
        usage = {"prompt_tokens": 120, "cached_tokens": 0, "completion_tokens": self.shape.tokens}
        finished = {"request_id": self.request_id, "finish_reason": "stop", "usage": usage, "ledger": told}
        self.events.append({"at_seconds": account.completion, "finished": finished})


def kind_of(event: Event) -> str:
    """Which event it is."""
    return next(name for name in event if name != "at_seconds")
