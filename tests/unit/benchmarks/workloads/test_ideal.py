import pytest
from google.protobuf.duration_pb2 import Duration

from benchmarks.workloads.ideal import ideal_of
from benchmarks.workloads.observed import Observed
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
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


def test_what_a_call_waited_in_serial_belongs_to_its_units():
    serial = completion(1.9, [(5, 0.3), (10, 0.4)], started=1.0)
    serial.waiting["call_1"] = 0.2
    ideal = ideal_of(completion(1.5, [(5, 0.4), (10, 0.5)]), serial)
    assert ideal is not None and (ideal.serial, ideal.ideal) == pytest.approx((1.9, 1.5))


def test_a_call_that_ran_inner_calls_waited_for_these():
    observed = Observed()
    for name, parent in (("call_1", ""), ("call_1.1", "call_1")):
        observed.add(pb.CompleteResponse(call_opened=pb.CallOpened(call_id=name, name="plan", parent_id=parent)))
    for name in ("call_1.1", "call_1"):
        finished = pb.CallFinished(call_id=name, result="", waiting=Duration(seconds=2))
        observed.add(pb.CompleteResponse(call_finished=finished))
    assert observed.waiting == {"call_1.1": 2.0}
