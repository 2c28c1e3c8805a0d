"""What the parts of the package bring in, and that the lock names exactly that."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.lock import EXTRAS, closure
from scripts.requirements import declared

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements" / "lock.txt"
HEAVY = {"torch", "transformers", "accelerate", "llguidance"}


def locked() -> dict[str, str]:
    lines = (line for line in LOCK.read_text("utf-8").splitlines() if line and not line.startswith("#"))
    return dict(line.split("==") for line in lines)


@pytest.mark.parametrize("extra", ["gateway", "tools"])
def test_no_torch_comes_with(extra):
    assert not HEAVY & closure(declared(extra)).keys()


def test_the_walk_sees_torch_where_it_is():
    assert closure(declared("decoder")).keys() >= HEAVY


def test_the_lock_names_what_is_installed_and_nothing_more():
    # What torch alone pulls in may differ: a CUDA build brings libraries that a CPU build does not know.
    installed, lock, torch = closure(declared(*EXTRAS)), locked(), closure(["torch"])
    assert {name: version for name, version in lock.items() if installed.get(name) != version} == {}, "run `make lock`"
    assert installed.keys() - lock.keys() - torch.keys() == set(), "run `make lock`"


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("extra", ["gateway", "tools"])
def test_pip_itself_takes_no_torch_for(extra, tmp_path):
    report = tmp_path / "report.json"
    arguments = ["--quiet", "--dry-run", "--ignore-installed", "--report", report, "-c", LOCK, f".[{extra}]"]
    command = [sys.executable, "-m", "pip", "install", *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert result.returncode == 0, result.stderr
    names = {entry["metadata"]["name"].lower() for entry in json.loads(report.read_text("utf-8"))["install"]}
    assert "grpcio" in names
    assert not HEAVY & names
