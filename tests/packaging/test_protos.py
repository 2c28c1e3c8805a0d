"""The contract passes its lint, and the committed code is what the generator makes of it."""

import subprocess
import sys
from pathlib import Path

from scripts.generate_protos import generate

ROOT = Path(__file__).resolve().parents[2]


def generated(root: Path) -> dict[str, str]:
    """What protoc writes, by its path under `root`."""
    return {
        str(path.relative_to(root)): path.read_text("utf-8")
        for path in root.glob("protos/conveyor/**/*_pb2*.py*")
        if path.suffix != ".pyc"
    }


def test_the_committed_code_is_what_the_generator_makes(tmp_path):
    generate(tmp_path)
    fresh, committed = generated(tmp_path), generated(ROOT)
    assert fresh.keys() == committed.keys()
    stale = [path for path, text in fresh.items() if committed[path] != text]
    assert not stale, "run `make protos`"


def test_the_contract_passes_its_lint():
    buf = Path(sys.executable).with_name("buf")
    result = subprocess.run([buf, "lint"], cwd=ROOT / "protos", capture_output=True, text=True, timeout=50)
    assert result.returncode == 0, result.stdout + result.stderr
