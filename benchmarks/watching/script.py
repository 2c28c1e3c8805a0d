"""Completions that are made up: a decoder's events at any size, the same every time."""

import random
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from gateway.wire import duration, seconds
from protos.conveyor.decoder.v1 import decoder_pb2 as pb

Event = pb.GenerateResponse

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
_PROMPT_SECONDS = 0.12
_HEARD_SECONDS = 0.001  # until the decoder knows what a tool has done
_TOOLS = ("python", "calculator")


def event(at: float, **kind: Any) -> Event:
    """One event, `at` seconds."""
    return pb.GenerateResponse(at=duration(at), **kind)


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a completion is. The calls are spread over the turns' text, and the units over that of their calls.

    In `serial` tools work after their turn. Of `failing` calls one fails; none where it is 0.
    """

    tokens: int = 2000
    calls: int = 40
    turns: int = 4
    units: int = 6
    token_seconds: float = 0.01
    busy_seconds: float = 0.05
    serial: bool = False
    failing: int = 0

    def events(self) -> list[Event]:
        """Everything that happens, in the order in which it is heard of."""
        begin, every = 0.0, list[Event]()
        for number in range(self.turns):
            turn = _Turn(self, number, begin + _PROMPT_SECONDS)
            every += turn.events()
            begin = turn.end
        usage = pb.Usage(prompt_tokens=120, completion_tokens=self.tokens)
        every.append(event(begin, finished=pb.Finished(finish_reason=pb.FINISH_REASON_STOP, usage=usage)))
        return every


class _Turn:
    def __init__(self, shape: Shape, number: int, start: float) -> None:
        self._shape, self._number, self._start = shape, number, start
        self._tokens = shape.tokens // shape.turns
        self._texts = [_WORDS[place % len(_WORDS)] for place in range(self._tokens)]
        self._lengths = [0, *accumulate(map(len, self._texts))]
        self._decoded = self._free = self.end = self._at(self._tokens)
        self._chance = random.Random(number)

    def _at(self, token: int) -> float:
        return self._start + token * self._shape.token_seconds

    def events(self) -> list[Event]:
        shape, number = self._shape, self._number
        calls = shape.calls // shape.turns
        every = [event(self._start, turn_started=pb.TurnStarted(turn=number))]
        for place, text in enumerate(self._texts):
            every.append(event(self._at(place + 1), text_delta=pb.TextDelta(text=text, token_ids=[place])))
        for place in range(calls):
            every += self._call(number * calls + place + 1, place * self._tokens // calls, self._tokens // calls)
        usage = pb.Usage(prompt_tokens=120, completion_tokens=self._tokens)
        decoded = pb.TurnDecoded(turn=number, finish_reason=pb.FINISH_REASON_STOP, usage=usage)
        every.append(event(self._decoded, turn_decoded=decoded))
        every.append(event(self.end, turn_finished=pb.TurnFinished(turn=number, call_count=calls)))
        return sorted(every, key=lambda each: seconds(each.at))

    def _call(self, number: int, first: int, tokens: int) -> list[Event]:
        """A call whose text begins at token `first`."""
        shape = self._shape
        call, name = f"call_{number}", _TOOLS[number % len(_TOOLS)]
        at = self._at(first + 1)
        opened = pb.CallOpened(call_id=call, name=name, text_offset=self._lengths[first + 1])
        every = [event(at, call_opened=opened)]
        every.append(event(at, arguments_delta=pb.ArgumentsDelta(call_id=call, argument="code", text="")))
        at = max(at, self._free) if shape.serial else at
        every.append(event(at, call_started=pb.CallStarted(call_id=call)))
        worked = 0.0
        for unit in range(shape.units):
            token = first + (unit + 1) * tokens // shape.units
            label = f"statement_{unit}()"
            written = pb.ArgumentsDelta(call_id=call, argument="code", text=f"{label}\n")
            every.append(event(self._at(token), arguments_delta=written))
            busy = shape.busy_seconds * self._chance.uniform(0.2, 2)
            at, worked = max(at, self._at(token)) + busy + _HEARD_SECONDS, worked + busy
            every.append(event(at, call_output=pb.CallOutput(call_id=call, text=f"line {unit} of {call}\n")))
            done = pb.UnitFinished(call_id=call, label=label, text_offset=self._lengths[token], busy=duration(busy))
            every.append(event(at, unit_finished=done))
        self._free, self.end = at if shape.serial else self._free, max(self.end, at)
        return [*every, event(at, call_finished=self._outcome(number, call, worked))]

    def _outcome(self, number: int, call: str, worked: float) -> pb.CallFinished:
        finished = pb.CallFinished(call_id=call, busy=duration(worked), arguments_json='{"code": ""}')
        if self._shape.failing and number % self._shape.failing == 0:
            finished.error.CopyFrom(pb.ToolError(code="RAISED", message="ValueError: the rows do not add up"))
        else:
            finished.result = f"{call} is done"
        return finished
