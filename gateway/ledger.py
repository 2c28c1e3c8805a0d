"""The overlap ledger: where a completion's time went, and what running tools while the model decodes has saved.

After "Conveyor: Efficient Tool-aware LLM Serving with Tool Partial Execution" (arXiv 2406.00059), and our contract's
`Ledger`. Times are seconds. Events are on the decoder's clock, since the request reached it; `completion` is on the
gateway's; work of tools is on the tool service's. Clocks are never subtracted from one another: only durations meet.

For turn i, with its calls and their units:

    begin_i    0 for the first turn, the end of the turn before for the others: prompt work counts as decoding
    decode_i   decoded_i - begin_i
    tool_i     sum of the calls' work
    exposed_i  finished_i - decoded_i where there were calls, else 0: what was waited for after the last token
    hidden_i   max(0, tool_i - exposed_i)

    ideal exposed_i   max(0, latest end of a call - decoded_i), where a call is a chain of units:
                      start = max(when its text had been decoded, end of the unit before), end = start + its work;
                      a call that needed results of others starts after their ends

Of the completion:

    decode, tool, hidden   the sums over its turns
    serial     completion + hidden: every call after its turn, one after the other
    ideal      completion - sum of max(0, exposed_i - ideal exposed_i): no transport, no contention
    attained   (serial - completion) / (serial - ideal), in [0, 1]; None where no tool worked or less than
               1 ms could be saved
"""

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field

_WORTH_SAVING_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class TextDecoded:
    """More text of the running turn: `length` code points."""

    at: float
    length: int


@dataclass(frozen=True, slots=True)
class CallStarted:
    """A call's tool began to run, once the calls in `after` had ended."""

    at: float
    call_id: str
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnitFinished:
    """A piece of a call's work, `busy` seconds, enabled by the turn's first `text_offset` code points."""

    at: float
    call_id: str
    text_offset: int
    busy: float


@dataclass(frozen=True, slots=True)
class CallFinished:
    """A call has ended after `busy` seconds of work, all of its units included."""

    at: float
    call_id: str
    busy: float


@dataclass(frozen=True, slots=True)
class TurnDecoded:
    """The turn's last token is there."""

    at: float


@dataclass(frozen=True, slots=True)
class TurnFinished:
    """The turn's calls have all ended."""

    at: float


Event = TextDecoded | CallStarted | UnitFinished | CallFinished | TurnDecoded | TurnFinished


@dataclass(frozen=True, slots=True)
class Ledger:
    """The account of one completion; see above."""

    completion: float
    decode: float
    tool: float
    hidden: float
    serial: float
    ideal: float
    attained: float | None


class Timeline:
    """Takes a completion's events in order and closes them into a `Ledger`. Holds the events of one turn at a time.

    `hidden_by_call`: hidden seconds of the turns that are over, shared out among a turn's calls by their work.
    """

    def __init__(self) -> None:
        self.hidden_by_call: dict[str, float] = {}
        self._turn = _Turn(begin=0.0)
        self._decode = self._tool = self._hidden = self._avoidable = 0.0

    def add(self, event: Event) -> None:
        """Takes the next event."""
        match event:
            case TextDecoded():
                self._turn.read(event)
            case CallStarted():
                self._turn.after[event.call_id] = event.after
            case UnitFinished():
                self._turn.units[event.call_id].append(event)
            case CallFinished():
                self._turn.busy[event.call_id] = event.busy
            case TurnDecoded():
                self._turn.decoded = event.at
            case TurnFinished():
                self._fold(event.at)

    def close(self, completion: float) -> Ledger:
        """The ledger of a completion that took `completion` seconds on the gateway's clock."""
        ideal = max(0.0, completion - self._avoidable)
        serial = completion + self._hidden
        savable = serial - ideal
        attained = min(1.0, self._hidden / savable) if self._tool and savable >= _WORTH_SAVING_SECONDS else None
        return Ledger(completion, self._decode, self._tool, self._hidden, serial, ideal, attained)

    def _fold(self, finished: float) -> None:
        turn = self._turn
        decoded = finished if turn.decoded is None else turn.decoded
        tool = sum(turn.busy.values())
        exposed = max(0.0, finished - decoded) if turn.busy else 0.0
        self._decode += max(0.0, decoded - turn.begin)
        self._tool += tool
        hidden = max(0.0, tool - exposed)
        self._hidden += hidden
        self.hidden_by_call |= {call_id: hidden * busy / tool for call_id, busy in turn.busy.items() if busy}
        self._avoidable += max(0.0, exposed - turn.ideal_exposed(decoded))
        self._turn = _Turn(begin=finished)


@dataclass(slots=True)
class _Turn:
    begin: float
    decoded: float | None = None
    lengths: list[int] = field(default_factory=list)  # of the text so far, ascending
    times: list[float] = field(default_factory=list)  # when it had that length
    units: defaultdict[str, list[UnitFinished]] = field(default_factory=lambda: defaultdict(list))
    busy: dict[str, float] = field(default_factory=dict)  # per call that has ended
    after: dict[str, tuple[str, ...]] = field(default_factory=dict)  # per call: those that it had to wait for

    def read(self, delta: TextDecoded) -> None:
        self.lengths.append((self.lengths[-1] if self.lengths else 0) + delta.length)
        self.times.append(delta.at)

    def ideal_exposed(self, decoded: float) -> float:
        ends: dict[str, float] = {}
        for call_id in (*self.after, *(self.busy.keys() - self.after.keys())):  # none starts before what it waits for
            earliest = max((ends.get(other, 0.0) for other in self.after.get(call_id, ())), default=0.0)
            if call_id in self.busy:
                ends[call_id] = self._ideal_end(call_id, decoded, earliest)
        return max(0.0, max(ends.values(), default=decoded) - decoded)

    def _ideal_end(self, call_id: str, decoded: float, end: float) -> float:
        """When the call could have ended that could start at `end`.

        Work in none of its units follows them, or the turn where it has none.
        """
        worked = 0.0
        units = self.units[call_id]
        for unit in units:
            end = max(self._reached(unit.text_offset, decoded), end) + unit.busy
            worked += unit.busy
        return (end if units else decoded) + max(0.0, self.busy[call_id] - worked)

    def _reached(self, text_offset: int, decoded: float) -> float:
        place = bisect_left(self.lengths, text_offset)
        return self.times[place] if place < len(self.times) else decoded
