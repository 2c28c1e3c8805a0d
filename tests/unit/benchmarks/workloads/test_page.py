import json
import re
from pathlib import Path

import pytest

from benchmarks import record
from benchmarks.documents import put
from benchmarks.workloads import page
from benchmarks.workloads.instead import Loop
from benchmarks.workloads.report import Report
from benchmarks.workloads.rounds import Samples
from benchmarks.workloads.rows import rows_of
from benchmarks.workloads.suite import SUITE
from benchmarks.workloads.timeline import timelines_of
from benchmarks.workloads.waking import Waking
from tests.unit.benchmarks.workloads.completions import completion
from tests.unit.benchmarks.workloads.test_bounds import OVERHEAD, POINT

HALVES = [(5, 0.4), (10, 0.4)]
MARKS = ("bounds", "rows", "timelines", "sweep", "loads", "overheads", "instead", "shared", "workloads")


def recorded(path: Path, name: str) -> Path:
    samples, loads = Samples(), Samples()
    for _ in range(2):
        for mode, seconds in (("serial", 1.8), ("partial", 1.4)):
            samples.add("codegen", mode, [completion(seconds, HALVES)])
            loads.add("4", mode, [completion(seconds, HALVES)])
    report = Report(
        "decoder on cores 0, the others on 1",
        trials=2,
        seconds=130.0,
        rows=rows_of(samples),
        loads=rows_of(loads),
        points=[POINT],
        overheads=[OVERHEAD],
        waking=Waking(7.0, {"1 s": 12_000.0}),
        loops=[Loop("codegen", 2, 9.0, 8.0, 1.0)],
        timelines=timelines_of(samples),
    )
    content = {"model": "m", "search_seconds": 0.6} | report.as_json()
    return record.write(name, record.machine(), content, path)


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(page, "PAGE", tmp_path / "evaluation.md")
    page.PAGE.write_text("".join(f"<!-- {mark} -->\nstale\n<!-- /{mark} -->\n" for mark in MARKS))
    runs = [recorded(tmp_path / f"{name}.json", name) for name in ("workloads", "workloads-shared")]
    assert page.main([str(run) for run in runs]) == 0
    return page.PAGE.read_text()


def test_every_part_of_a_run_is_on_the_page(shown: str):
    assert "stale" not in shown
    figures = ("1.40 (1.40–1.40)", "1.00", "0.80", "0.00", "1.40", "22.2 % (22 to 22)", "–", "100.0 % (100 to 100)")
    row = " | ".join(("| codegen, partial", *figures))
    assert shown.count(row) == 2  # on cores of their own, and on shared ones
    assert "| codegen | 9.00 | 8.00 | 1.00 | 2.00 | 1.40 | 1.00 |" in shown
    assert "| 8 | 1.50 | 9.00 | 2000 | 50 | 2.5 % | 300 |" in shown
    assert "takes 7 µs" in shown and "12000 µs after 1 s" in shown
    assert "| codegen: of the ideal saving | 100.0 % | ≥ 95.0 % |  |" in shown
    assert all(each.title in shown for each in SUITE.values())


def test_the_pictures_that_it_shows_are_there(shown: str):
    names = re.findall(r"\]\((evaluation-\w+\.svg)\)", shown)
    assert sorted(names) == [f"evaluation-{name}.svg" for name in ("bars", "load", "sweep", "timeline")]
    for name in names:
        assert page.PAGE.with_name(name).read_text().startswith("<?xml")


def test_parts_that_were_not_measured_are_left_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = json.loads(recorded(tmp_path / "run.json", "workloads").read_text())
    monkeypatch.setattr(page, "PAGE", tmp_path / "evaluation.md")
    assert "instead" in page.sections(run)
    assert "instead" not in page.sections(run | {"instead": []})


def test_the_pages_marks_are_those_of_the_parts():
    text = page.PAGE.read_text("utf-8")
    for mark in MARKS:
        put(text, mark, "x")
    put(page.README.read_text("utf-8"), "saved", "x")


def test_the_front_page_has_some_of_it():
    rows = [
        {"workload": name, "mode": mode, "completion_seconds": {"p50": seconds}, "saved_vs_serial": 0.25}
        for name in page.IN_SHORT
        for mode, seconds in (("serial", 4.0), ("partial", 3.0))
    ]
    assert "| CodeGen, cold interpreter | 4.00 | 3.00 | 25 % |" in page.in_short({"rows": rows})
