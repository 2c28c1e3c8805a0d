"""The best that overlapping could do, and the share of it that was attained.

A completion is put beside the one in `serial` of the same round. Its text came when it came; its calls' units take what
they took in `serial`, where nothing ran beside them. From these the ledger (gateway/ledger.py) works out

    ideal     every unit starts when its text was there or its predecessor had ended
    serial    every unit after its turn, one after the other
    attained  (serial - completion) / (serial - ideal)

A unit took the time from the end of the one before it, or the start of its call, to its own end: all of its text was
there, so it waited for nothing but the machine. That is more than its work where a process has to wake up: after a
sleep of a second, what takes 10 us in a process that runs can take 10 ms on a virtual machine. A call that runs inner
calls waits for these, so what counts of it is its work.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from benchmarks.workloads.observed import Observed
from gateway.ledger import CallFinished, CallStarted, Event, Timeline, TurnFinished, UnitFinished

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
    began: dict[str, float] = {}
    ended: dict[str, float] = {}
    for event in serial.events:
        match event:
            case CallStarted():
                began[event.call_id] = ended[event.call_id] = event.at
            case UnitFinished() if event.call_id in ended and event.call_id not in serial.parents:
                yield replace(event, busy=event.at - ended[event.call_id])
                ended[event.call_id] = event.at
                continue
            case CallFinished() if event.call_id in began and event.call_id not in serial.parents:
                yield replace(event, busy=event.at - began[event.call_id])
                continue
        yield event
