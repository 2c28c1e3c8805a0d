import pytest

from benchmarks.workloads.rounds import Samples, WrongResultError, turned
from benchmarks.workloads.suite import SUITE, mixed
from tests.unit.benchmarks.workloads.completions import completion


def test_the_order_of_modes_turns_so_that_each_is_first_as_often():
    modes = ["serial", "parallel", "on_seal", "partial"]
    rounds = [turned(modes, number) for number in range(8)]
    assert all(sorted(each) == sorted(modes) for each in rounds)
    assert sorted(each[0] for each in rounds) == sorted(modes * 2)


def test_another_result_in_another_mode_is_an_error_that_names_it():
    samples = Samples()
    samples.add("search", "serial", [completion(1.5, [], result="this")])
    samples.add("search", "partial", [completion(1.2, [], result="this")])
    with pytest.raises(WrongResultError, match=r"search: call_1 gave .*this.* in serial, and .*that.* in on_seal"):
        samples.add("search", "on_seal", [completion(1.2, [], result="that")])


def test_another_result_in_a_later_round_is_one_too():
    samples = Samples()
    samples.add("search", "serial", [completion(1.5, [], result="this")])
    with pytest.raises(WrongResultError):
        samples.add("search", "serial", [completion(1.5, [], result="that")])


def test_a_call_that_is_missing_in_another_mode_is_one_too():
    samples, without = Samples(), completion(1.2, [])
    without.outcomes.clear()
    samples.add("search", "serial", [completion(1.5, [])])
    with pytest.raises(WrongResultError, match="None in partial"):
        samples.add("search", "partial", [without])


def test_mixed_draws_the_same_each_time_and_writes_one_script():
    drawn = mixed.drawn(list(SUITE.values()))
    assert len(drawn) == mixed.COUNT
    assert [each.name for each in drawn] == [each.name for each in mixed.drawn(list(SUITE.values()))]
    names = [each.name for each in drawn]
    assert names.count(mixed.ALONE) == 1
    assert {each.name for each in SUITE.values() if not each.settings} == set(names)
