"""The evaluation in a minute: real services, a round of some workloads, all modes. Figures are not judged here: other
tests run beside it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORKLOADS = ("codegen", "search", "validation", "calculator")
MODES = ("serial", "partial")


@pytest.mark.timeout(240)
def test_a_round_of_the_evaluation_gives_the_same_results_in_every_mode_and_a_row_for_each(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    options = ("--quick", "--shared", "--search-seconds", "0.2", "--json", str(path))
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.workloads", *options], cwd=ROOT, capture_output=True, text=True, timeout=230
    )
    assert run.returncode in (0, 1), run.stdout + run.stderr  # 1: a bound is not held, beside other tests
    assert path.exists(), run.stdout + run.stderr
    found = json.loads(path.read_text())
    rows = {(row["workload"], row["mode"]): row for row in found["rows"]}
    assert rows.keys() == {(workload, mode) for workload in WORKLOADS for mode in MODES}
    for workload in ("codegen", "search"):
        assert rows[workload, "serial"]["hidden_seconds"] == pytest.approx(0, abs=0.02)
        assert rows[workload, "partial"]["hidden_seconds"] > 0.05
        assert rows[workload, "partial"]["ideal_seconds"] > 0
    assert rows["validation", "partial"]["decode_seconds"] < rows["validation", "serial"]["decode_seconds"]
    assert rows["validation", "partial"]["attained"] is None
    (overhead,) = found["overheads"]
    assert overhead["concurrent"] == 1 and overhead["to_tool_p50"] > 0 and overhead["decoding_cpu"] > 0
    assert found["placement"].startswith("all services on cores")
