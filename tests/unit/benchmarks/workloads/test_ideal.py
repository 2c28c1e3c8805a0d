from dataclasses import replace

import pytest

from benchmarks.workloads.ideal import ideal_of
from gateway.ledger import UnitFinished
from tests.unit.benchmarks.workloads.completions import completion

HALVES = [(5, 0.4), (10, 0.4)]


def test_units_take_what_they_took_in_serial_and_begin_when_their_text_was_there():
    ideal = ideal_of(completion(1.5, [(5, 0.5), (10, 0.5)]), completion(1.8, HALVES, started=1.0))
    assert ideal is not None
    assert (ideal.serial, ideal.ideal) == pytest.approx((1.8, 1.4))
    assert ideal.attained == pytest.approx(0.75)


def test_serial_itself_attains_nothing():
    ideal = ideal_of(completion(1.8, HALVES, started=1.0), completion(1.8, HALVES, started=1.0))
    assert ideal is not None and ideal.attained == pytest.approx(0)


def test_a_unit_waits_for_the_one_before_it():
    ideal = ideal_of(completion(2.5, [(1, 2.0), (2, 0.4)]), completion(3.4, [(1, 2.0), (2, 0.4)], started=1.0))
    assert ideal is not None and ideal.ideal == pytest.approx(0.1 + 2.4)


def test_where_nothing_can_be_saved_there_is_no_share():
    ideal = ideal_of(completion(1.4, [(10, 0.4)]), completion(1.4, [(10, 0.4)], started=1.0))
    assert ideal is not None and ideal.attained is None


def test_a_veto_makes_it_another_completion():
    assert ideal_of(completion(0.3, [(1, 0.1)], vetoed=True), completion(1.1, [(1, 0.1)])) is None


def test_what_a_process_needs_to_wake_up_belongs_to_the_unit_that_follows():
    serial = completion(1.9, [(5, 0.4), (10, 0.5)], started=1.0)
    for place, event in enumerate(serial.events):
        if isinstance(event, UnitFinished):
            serial.events[place] = replace(event, busy=event.busy - 0.1)
    ideal = ideal_of(completion(1.5, [(5, 0.4), (10, 0.5)]), serial)
    assert ideal is not None and (ideal.serial, ideal.ideal) == pytest.approx((1.9, 1.5))


def test_a_call_that_ran_inner_calls_counts_with_its_work():
    serial = completion(1.9, [(5, 0.1), (10, 0.1)], started=1.0)
    serial.parents.add("call_1")
    for place, event in enumerate(serial.events):
        if isinstance(event, UnitFinished):
            serial.events[place] = replace(event, at=event.at + 0.3)
    ideal = ideal_of(completion(1.15, [(5, 0.1), (10, 0.1)]), serial)
    assert ideal is not None and ideal.serial == pytest.approx(1.2)
