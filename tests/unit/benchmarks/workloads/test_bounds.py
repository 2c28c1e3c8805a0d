from dataclasses import replace

from benchmarks.workloads.bounds import Bound, bounds_of, of_the_run
from benchmarks.workloads.overheads import Overhead
from benchmarks.workloads.rows import Row, Spread
from benchmarks.workloads.sweep import Point

ROW = Row(
    workload="search",
    mode="partial",
    trials=30,
    completion_seconds=Spread(1.0, 1.2, (0.9, 1.1)),
    decode_seconds=1.0,
    tool_seconds=0.6,
    hidden_seconds=0.5,
    ideal_seconds=1.0,
    saved_vs_serial=0.3,
    saved_vs_on_seal=0.1,
    saved_ci95=(0.28, 0.32),
    attained=0.96,
    attained_ci95=(0.95, 0.97),
    attained_between=0.95,
    savable_seconds=0.5,
)
POINT = Point(1.0, 8, 1.0, 1.0, 2.0, 1.2, 0.4, 0.44, 0.97, 0.9)
OVERHEAD = Overhead(8, 1000, 1.5, 9.0, 2000.0, 50.0, 300.0)


def missed(*rows: Row, points: tuple[Point, ...] = (), overheads: tuple[Overhead, ...] = ()) -> list[str]:
    return [bound.what for bound in bounds_of(rows, points, overheads) if bound.value is not None and not bound.holds]


def test_each_bound_can_be_missed():
    codegen = replace(ROW, workload="codegen", saved_vs_serial=0.4, saved_vs_on_seal=0.25)
    validation = replace(ROW, workload="validation", saved_vs_serial=0.5, attained=None)
    database = replace(ROW, workload="database", saved_vs_serial=0.01)
    good = (ROW, codegen, validation, database)
    assert missed(*good, points=(POINT,), overheads=(OVERHEAD,)) == []
    assert missed(replace(ROW, attained=0.9), codegen, validation) == ["search: of the ideal saving"]
    assert len(missed(ROW, replace(codegen, saved_vs_serial=0.3), validation)) == 1
    assert missed(codegen, replace(validation, saved_vs_serial=0.39)) == ["validation: saved against serial"]
    assert missed(replace(codegen, saved_vs_on_seal=0.1)) == ["codegen: saved against on_seal"]
    for saved in (-0.03, 0.03):
        assert missed(replace(database, saved_vs_serial=saved)) == ["database: saved against serial"]
    assert len(missed(points=(POINT, replace(POINT, attained=0.9)))) == 1
    assert missed(points=(replace(POINT, attained=0.5, savable_seconds=0.1),)) == []
    for change in ({"to_tool_p50": 3.0}, {"to_tool_p99": 11.0}, {"transport_cpu": 70.0}):
        assert len(missed(overheads=(replace(OVERHEAD, **change),))) == 1


def test_other_modes_are_not_bounded():
    bounds = bounds_of([replace(ROW, mode="on_seal")], [], [])
    assert {bound.value for bound in bounds} == {None}


def test_what_was_not_measured_does_not_hold_and_says_so():
    bounds = bounds_of([ROW], [], [])
    measured = [bound.what for bound in bounds if bound.value is not None]
    assert measured == ["search: of the ideal saving", "best of the paper's overlap workloads: saved against serial"]
    assert {(bound.holds, bound.shown) for bound in bounds if bound.value is None} == {(False, "no figure")}


def test_a_whole_run_of_few_trials_has_its_time():
    assert [bound.holds for bound in of_the_run(5, 14 * 60)] == [True]
    assert [bound.holds for bound in of_the_run(5, 16 * 60)] == [False]
    assert of_the_run(30, 3600) == []


def test_a_bound_says_what_was_found_and_what_was_wanted():
    assert (Bound("x", 0.9512, least=0.95, unit="%").shown, Bound("x", 1, least=0.95, unit="%").wanted) == (
        "95.1 %",
        "≥ 95.0 %",
    )
    assert Bound("x", 0.0, -0.02, 0.02, "%").wanted == "-2.0 % to 2.0 %"
    assert Bound("x", 1.234, most=2.0, unit="ms").shown == "1.23 ms"
