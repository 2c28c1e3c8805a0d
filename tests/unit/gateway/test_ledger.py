"""Turns are simulated twice: once with tools as early as their text allows, once with all of them after the turn."""

from dataclasses import dataclass
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger import (
    CallFinished,
    CallStarted,
    Ledger,
    TextDecoded,
    Timeline,
    TurnDecoded,
    TurnFinished,
    UnitFinished,
)

CLOSE = 1e-9


@dataclass(frozen=True)
class Turn:
    """A turn's deltas, each (seconds it took, code points), and calls, each a list of units (text offset, seconds)."""

    deltas: list[tuple[float, int]]
    calls: list[list[tuple[int, float]]]

    @property
    def length(self):
        return sum(length for _, length in self.deltas)


@cache  # hypothesis looks through each new strategy anew
def durations(most):
    return st.integers(0, int(most * 1000)).map(lambda ms: ms / 1000)


DELTAS = st.lists(st.tuples(durations(0.2), st.integers(0, 9)), min_size=1, max_size=8)


@cache
def calls_within(length):
    units = st.lists(st.tuples(st.integers(0, length), durations(0.5)), max_size=4).map(sorted)
    return st.lists(units, max_size=3)


@st.composite
def turns(draw):
    deltas = draw(DELTAS)
    return Turn(deltas, draw(calls_within(sum(size for _, size in deltas))))


def decode(turn, begin):
    """The turn's text events, and when each length of its text was there."""
    now, length, events, reached = begin, 0, [], []
    for took, size in turn.deltas:
        now, length = now + took, length + size
        events.append(TextDecoded(now, size))
        reached.append((length, now))
    return [*events, TurnDecoded(now)], reached, now


def simulate(completion, starts, overhead=0.0):
    """Events of a completion whose units start at `starts(call's end so far, when its text was there, turn's end)`."""
    events, begin = [], 0.0
    for number, turn in enumerate(completion):
        text, reached, decoded = decode(turn, begin)
        work, finished = [], decoded
        for place, units in enumerate(turn.calls):
            call, end = f"{number}.{place}", 0.0
            for offset, busy in units:
                there = next(at for length, at in reached if length >= offset)
                end = starts(end, there, max(finished, decoded)) + busy
                work.append(UnitFinished(end, call, offset, busy))
            end = max(end, decoded if not units else end)
            work.append(CallFinished(end, call, sum(busy for _, busy in units)))
            finished = max(finished, end)
        finished += overhead if turn.calls else 0.0
        events += sorted([*text, *work], key=lambda event: event.at)
        events.append(TurnFinished(finished))
        begin = finished
    return events, begin


def perfect(end, there, _finished):
    return max(end, there)


def serial(end, _there, finished):
    return max(end, finished)


def account(events, completion):
    timeline = Timeline()
    for event in events:
        timeline.add(event)
    return timeline.close(completion)


@given(st.lists(turns(), max_size=4), durations(1))
def test_a_perfect_run_attains_all(completion, way):
    events, end = simulate(completion, perfect)
    ledger = account(events, end + way)
    assert ledger.attained is None or ledger.attained == pytest.approx(1, abs=1e-6)
    assert ledger.ideal == pytest.approx(ledger.completion)


@given(st.lists(turns(), max_size=4), durations(1))
def test_a_serial_run_hides_nothing(completion, way):
    events, end = simulate(completion, serial)
    ledger = account(events, end + way)
    assert ledger.hidden == pytest.approx(0, abs=CLOSE)
    assert ledger.serial == pytest.approx(ledger.completion)
    assert ledger.attained is None or ledger.attained == pytest.approx(0, abs=1e-6)
    assert ledger.completion == pytest.approx(ledger.decode + ledger.tool + way)


@given(st.lists(turns(), max_size=4), durations(0.3), durations(1))
def test_the_numbers_are_in_order(completion, overhead, way):
    events, end = simulate(completion, perfect, overhead)
    ledger = account(events, end + way)
    assert 0 <= ledger.ideal <= ledger.completion <= ledger.serial
    assert 0 <= ledger.hidden <= ledger.tool + CLOSE
    assert ledger.attained is None or 0 <= ledger.attained <= 1


@given(st.lists(turns(), max_size=4), durations(1))
def test_the_counterfactuals_of_one_run_are_the_other_run(completion, way):
    """With one call a turn, the ideal of the serial run is what the perfect run took, and the other way round."""
    single = [Turn(turn.deltas, turn.calls[:1]) for turn in completion]
    fast_events, fast = simulate(single, perfect)
    slow_events, slow = simulate(single, serial)
    assert account(slow_events, slow + way).ideal == pytest.approx(fast + way)
    assert account(fast_events, fast + way).serial == pytest.approx(slow + way)


def test_one_turn_by_hand():
    """Text until 1.0; a unit of 0.6 from 0.5 on, then one of 0.2; measured, the call ended at 1.4 instead of 1.3."""
    ledger = account(
        [
            TextDecoded(0.5, 10),
            TextDecoded(1.0, 10),
            TurnDecoded(1.0),
            UnitFinished(1.15, "a", 10, 0.6),
            UnitFinished(1.4, "a", 20, 0.2),
            CallFinished(1.4, "a", 0.8),
            TurnFinished(1.4),
        ],
        1.5,
    )
    assert ledger == Ledger(
        completion=1.5,
        decode=1.0,
        tool=0.8,
        hidden=pytest.approx(0.4),
        serial=pytest.approx(1.9),
        ideal=pytest.approx(1.4),
        attained=pytest.approx(0.8),
    )


def test_prompt_work_of_a_later_turn_counts_as_decoding():
    events = [TurnDecoded(1.0), CallFinished(2.0, "a", 1.0), TurnFinished(2.0), TurnDecoded(3.5), TurnFinished(3.5)]
    assert account(events, 3.5).decode == pytest.approx(2.5)


def test_work_in_no_unit_follows_the_turn():
    events = [TextDecoded(1.0, 5), TurnDecoded(1.0), CallFinished(3.0, "a", 2.0), TurnFinished(3.0)]
    ledger = account(events, 3.0)
    assert ledger.ideal == pytest.approx(3.0)
    assert ledger.attained is None


def test_waiting_without_calls_is_not_exposed():
    ledger = account([TurnDecoded(1.0), TurnFinished(1.2)], 1.3)
    assert (ledger.tool, ledger.hidden, ledger.ideal) == (0, 0, 1.3)


def test_calls_of_one_turn_hide_one_another():
    calls = [event for name in "ab" for event in (UnitFinished(2.0, name, 0, 1.0), CallFinished(2.0, name, 1.0))]
    ledger = account([TextDecoded(1.0, 1), TurnDecoded(1.0), *calls, TurnFinished(2.0)], 2.0)
    assert (ledger.hidden, ledger.serial, ledger.attained) == (1.0, 3.0, 1.0)


def test_a_unit_whose_text_never_came_starts_with_the_turns_end():
    events = [TextDecoded(0.5, 3), TurnDecoded(1.0), UnitFinished(2.0, "a", 99, 0.5), CallFinished(2.0, "a", 0.5)]
    assert account([*events, TurnFinished(2.0)], 2.0).ideal == pytest.approx(1.5)


def test_nothing_at_all_is_a_ledger():
    assert account([], 0.25) == Ledger(0.25, 0, 0, 0, 0.25, 0.25, None)


def test_an_inner_call_starts_no_sooner_than_those_it_waited_for():
    """Two calls of 0.5 from 0.2 and 0.4 on; a third of 0.3 needed both, and measured, it began 0.1 late."""
    events = [
        TextDecoded(0.2, 10),
        CallStarted(0.2, "a", ()),
        TextDecoded(0.4, 10),
        CallStarted(0.4, "b", ()),
        TextDecoded(0.5, 10),
        TurnDecoded(0.5),
        UnitFinished(0.7, "a", 10, 0.5),
        CallFinished(0.7, "a", 0.5),
        UnitFinished(0.9, "b", 20, 0.5),
        CallFinished(0.9, "b", 0.5),
        CallStarted(1.0, "c", ("a", "b")),
        UnitFinished(1.3, "c", 30, 0.3),
        CallFinished(1.3, "c", 0.3),
        TurnFinished(1.3),
    ]
    ledger = account(events, 1.3)
    assert ledger.ideal == pytest.approx(1.2)
    assert ledger.hidden == pytest.approx(0.5)
    assert ledger.attained == pytest.approx(0.5 / 0.6)


def test_a_call_that_had_to_wait_for_one_that_is_unknown_waits_for_nothing():
    events = [TextDecoded(1.0, 1), CallStarted(1.0, "a", ("gone",)), CallFinished(2.0, "a", 1.0), TurnDecoded(1.0)]
    assert account([*events, TurnFinished(2.0)], 2.0).ideal == pytest.approx(2.0)


def test_what_is_hidden_is_shared_out_among_calls_by_their_work():
    timeline = Timeline()
    for event in (TurnDecoded(2.0), CallFinished(2.5, "a", 1.5), CallFinished(1.0, "b", 0.5), TurnFinished(2.5)):
        timeline.add(event)
    assert timeline.close(3.0).hidden == pytest.approx(1.5)
    assert timeline.hidden_by_call == pytest.approx({"a": 1.125, "b": 0.375})
