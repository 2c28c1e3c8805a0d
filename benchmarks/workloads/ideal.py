"""The best that overlapping could do, and the share of it that was attained.

A completion is put beside the one in `serial` of the same round. Its text came when it came; its calls' units take what
they took in `serial`, where nothing ran beside them. From these the ledger (gateway/ledger.py) works out

    ideal     every unit starts when its text was there or its predecessor had ended
    serial    every unit after its turn, one after the other
    attained  (serial - completion) / (serial - ideal)

A unit took its work and its part of the call's waiting, both on the tool service's clock: in `serial` all text is
there, so a call waits for nothing but the machine, which wakes a process that has slept (`waking.py`). A call that runs
inner calls waits for these, so what counts of it is its work.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from benchmarks.workloads.observed import Observed
from gateway.ledger import CallFinished, Event, Timeline, TurnFinished, UnitFinished

LEAST_SAVABLE = 0.001  # seconds; below it there is no share to speak of


@dataclass(frozen=True, slots=True)
class Ideal:
    """Seconds. `attained` is None where there was nothing to save."""

    serial: float
    ideal: float
    attained: float | None


def ideal_of(completion: Observed, serial: Observed) -> Ideal | None:
    """Of a completion beside that in `serial`; None where a veto has made it another one."""
    if completion.vetoed or serial.vetoed:
        return None
    timeline = Timeline()
    for event in _with_units_of(completion.events, serial):
        timeline.add(event)
    account = timeline.close(completion.completion)
    savable = account.serial - account.ideal
    attained = (account.serial - completion.completion) / savable if savable >= LEAST_SAVABLE else None
    return Ideal(account.serial, account.ideal, attained)


def _with_units_of(events: list[Event], serial: Observed) -> Iterator[Event]:
    """The events with the units and calls of `serial` in place of their own, turn by turn."""
    work = _work_by_turn(serial)
    for event in events:
        match event:
            case UnitFinished() | CallFinished():
                pass
            case TurnFinished():
                yield from next(work, ())
                yield event
            case _:
                yield event


def _work_by_turn(serial: Observed) -> Iterator[list[Event]]:
    found: list[Event] = []
    for event in _as_they_took(serial):
        match event:
            case UnitFinished() | CallFinished():
                found.append(event)
            case TurnFinished():
                yield found
                found = []


def _as_they_took(serial: Observed) -> Iterator[Event]:
    """The events, units and calls with the time that they took."""
    counts = Counter(event.call_id for event in serial.events if isinstance(event, UnitFinished))
    for event in serial.events:
        match event:
            case UnitFinished():
                waited = serial.waiting.get(event.call_id, 0.0) / counts[event.call_id]
                yield replace(event, busy=event.busy + waited)
            case CallFinished():
                yield replace(event, busy=event.busy + serial.waiting.get(event.call_id, 0.0))
            case _:
                yield event
