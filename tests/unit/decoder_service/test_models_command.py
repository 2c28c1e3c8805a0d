"""`python -m decoder_service.models`: what it prints, asks and refuses."""

import io
import json
from pathlib import Path

import pytest

from decoder_service.models import store
from decoder_service.models.__main__ import main
from decoder_service.models.catalogue import CATALOGUE

QWEN = "qwen2.5-coder-1.5b"


class Terminal(io.StringIO):
    """Somebody who answers."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and signals left as they are."""
    monkeypatch.setenv("CONVEYOR_CACHE", str(tmp_path))
    monkeypatch.setattr("signal.signal", lambda *_: None)
    return tmp_path


@pytest.fixture
def begun() -> Path:
    """What an interrupted pull has left."""
    partial = store._partial(store.folder_of(QWEN))
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"x" * 5000)
    return partial


def test_the_list_shows_every_model_and_what_is_missing(capsys: pytest.CaptureFixture[str], begun: Path) -> None:
    assert main(["list"]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split() == ["NAME", "TITLE", "LICENCE", "SIZE", "KIND", "CONTEXT"]
    assert [line.split()[0] for line in lines] == list(CATALOGUE)
    assert "not pulled: conveyor models pull smollm2-135m" in lines[0]
    assert "1,117 MB" in lines[1] and f"conveyor models pull {QWEN} goes on" in lines[1]


def test_the_list_as_json_leaves_out_what_only_the_file_knows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["name"], row["default"], row["ready"]) for row in rows] == [
        ("smollm2-135m", True, False),
        (QWEN, False, False),
    ]
    assert all(row["quantisation"] is None and row["context"] is None and row["disk_bytes"] == 0 for row in rows)
    assert all(row["licence"] == "Apache-2.0" for row in rows)


def test_removing_asks(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, begun: Path) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("\n"))
    assert main(["remove", QWEN]) == 1
    assert begun.exists() and f"Remove {QWEN}" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert main(["remove", QWEN]) == 0
    assert not begun.exists() and capsys.readouterr().out == f"{QWEN}: removed\n"


def test_removing_without_a_terminal_needs_yes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, begun: Path
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert main(["remove", QWEN]) == 1
    assert begun.exists() and "--yes" in capsys.readouterr().err
    assert main(["remove", QWEN, "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"name": QWEN, "removed": True}
    assert main(["remove", QWEN]) == 0
    assert capsys.readouterr().out == f"{QWEN}: was not there\n"


@pytest.mark.parametrize("command", ["pull", "remove"])
def test_an_unknown_name_says_what_there_is(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main([command, "qwen"]) == 1
    errors = capsys.readouterr().err
    assert "no model 'qwen'" in errors and QWEN in errors and "`conveyor models list`" in errors
