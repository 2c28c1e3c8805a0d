"""Index folders: whole or not at all, and never taken for one when they are something else."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tool_service.tools.search.__main__ import main
from tool_service.tools.search.engine import SearchError
from tool_service.tools.search.indexing import ENGINES, MANIFEST, open_index, read_manifest, write_index


@pytest.fixture
def folder(tmp_path) -> Path:
    root = tmp_path / "documents"
    root.mkdir()
    for number in range(3):
        (root / f"{number}.md").write_text(f"# Walrus\n\nThe walrus number {number}.\n")
    return root


@pytest.fixture(params=ENGINES)
def engine(request) -> str:
    return str(request.param)


LEFT = f"sections-{'0' * 16}"


def count(into: Path) -> int:
    index = open_index(into)
    try:
        return len(index.search("walrus", 50))
    finally:
        index.close()


def test_a_manifest_says_what_the_index_is(folder, tmp_path, engine):
    into = tmp_path / "deep" / "index"
    made = write_index(folder, into, engine)
    assert read_manifest(into).engine == made.engine == engine
    assert (made.document_count, made.section_count, made.source) == (3, 3, str(folder))
    assert count(into) == 3
    assert {path.name for path in into.iterdir()} == {MANIFEST, made.data}


def test_an_index_is_replaced_while_it_is_open(folder, tmp_path, engine):
    write_index(folder, tmp_path / "index", engine)
    old = open_index(tmp_path / "index")
    (folder / "more.md").write_text("A walrus more")
    for other in ENGINES:
        write_index(folder, tmp_path / "index", other)
        assert count(tmp_path / "index") == 4
    assert len(old.search("walrus", 50)) == 3
    old.close()
    assert len(list((tmp_path / "index").iterdir())) == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, OSError])
def test_the_old_index_stays_until_the_new_one_is_whole(folder, tmp_path, engine, error):
    def cut_short(paths):
        yield from paths[:1]
        assert count(tmp_path / "index") == 3
        raise error

    write_index(folder, tmp_path / "index", engine)
    with pytest.raises(error):
        write_index(folder, tmp_path / "index", engine, cut_short)
    assert count(tmp_path / "index") == 3
    assert len(list((tmp_path / "index").iterdir())) == 2


def test_a_half_built_index_counts_for_nothing_and_leaves_nothing(folder, tmp_path, engine):
    def cut_short(paths):
        yield from paths[:1]
        with pytest.raises(SearchError, match="no search index"):
            open_index(tmp_path / "index")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_index(folder, tmp_path / "index", engine, cut_short)
    assert not (tmp_path / "index").exists()


def test_what_a_killed_attempt_left_goes_with_the_next(folder, tmp_path):
    (tmp_path / "index" / LEFT).mkdir(parents=True)
    (tmp_path / "index" / LEFT / "sections.sqlite").write_text("half")
    write_index(folder, tmp_path / "index", "fts5")
    assert not (tmp_path / "index" / LEFT).exists()


def test_two_do_not_write_one_index(folder, tmp_path):
    def meanwhile(paths):
        with pytest.raises(SearchError, match="is being written by another"):
            write_index(folder, tmp_path / "index", "fts5")
        return paths

    write_index(folder, tmp_path / "index", "fts5", meanwhile)
    assert count(tmp_path / "index") == 3


@pytest.mark.parametrize("taken", ["folder", "file", "foreign manifest", "sections-of-mine"])
def test_what_is_no_index_is_never_overwritten(folder, tmp_path, taken):
    into = tmp_path / "taken"
    if taken == "file":
        into.write_text("mine")
    else:
        into.mkdir()
        (into / (MANIFEST if "manifest" in taken else taken)).write_text('{"format": "mine"}')
    with pytest.raises(SearchError, match="is there already and is no search index"):
        write_index(folder, into, "fts5")
    assert into.is_file() or len(list(into.iterdir())) == 1


def test_every_damaged_file_is_noticed(folder, tmp_path, engine):
    made = write_index(folder, tmp_path / "index", engine)
    for name in made.files:
        file = tmp_path / "index" / made.data / name
        whole = file.read_bytes()
        for damaged in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), whole + b"x"):
            file.write_bytes(damaged)
            with pytest.raises(SearchError, match="is damaged; make the index anew"):
                open_index(tmp_path / "index")
        file.unlink()
        with pytest.raises(SearchError, match="cannot be read: No such file"):
            open_index(tmp_path / "index")
        file.write_bytes(whole)
    assert count(tmp_path / "index") == 3


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ("", "is damaged"),
        ("[]", "another program's"),
        ('{"format": "theirs"}', "another program's"),
        ({"version": 99}, "of version 99, not 1; make it anew"),
        ({"engine": "lucene"}, "is damaged"),
        ({"files": {}}, "is damaged"),
        ({"files": {"../../etc/passwd": [1, ""]}}, "is damaged"),
        ({"files": {"/etc/passwd": [1, ""]}}, "is damaged"),
        ({"files": ["sections.sqlite"]}, "is damaged"),
        ({"files": {"sections.sqlite": 3}}, "is damaged"),
        ({"data": ".."}, "is damaged"),
        ({"data": 3}, "is damaged"),
        ({"unknown": 1}, "is damaged"),
    ],
)
def test_a_manifest_that_is_wrong_is_an_error(folder, tmp_path, changed, said):
    write_index(folder, tmp_path / "index", "fts5")
    file = tmp_path / "index" / MANIFEST
    file.write_text(changed if isinstance(changed, str) else json.dumps({**json.loads(file.read_text()), **changed}))
    with pytest.raises(SearchError, match=said):
        open_index(tmp_path / "index")


def test_a_folder_without_a_manifest_is_no_index(folder):
    with pytest.raises(SearchError, match=r"is no search index: there is no manifest\.json; make one with"):
        open_index(folder)


# --- the command ----------------------------------------------------------------------------------------------------


def test_the_command_makes_an_index_and_says_how_to_use_it(folder, tmp_path, capsys, engine):
    assert main([str(folder), "--engine", engine, "--into", str(tmp_path / "index")]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        f"3 documents, 3 sections, in {tmp_path / 'index'}",
        f"Search them: conveyor up --tools.search.index {tmp_path / 'index'}",
    ]
    assert err == ""  # no bar where nobody looks


def test_programs_are_told_in_json(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CONVEYOR_CACHE", str(tmp_path / "cache"))
    assert main([str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["document_count"] == told["section_count"] == 3
    assert told["engine"] == "fts5"
    assert Path(told["index"]).parent == tmp_path / "cache" / "indexes"
    assert count(Path(told["index"])) == 3


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_folder_without_documents_is_an_error(tmp_path, capsys, name):
    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / name), "--into", str(tmp_path / "index")]) == 1
    assert capsys.readouterr().err.startswith("error: the" if name == "empty" else "error: there is no folder")
    assert not (tmp_path / "index").exists()


def test_a_place_that_cannot_be_written_to_is_an_error_with_a_remedy(folder, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main([str(folder), "--into", str(tmp_path / "file" / "index")]) == 1
    assert "--into names another one." in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_nothing_stays(folder, tmp_path, number):
    (tmp_path / "long.md").write_text("walrus " * 20_000)
    for parent in range(40):
        (folder / str(parent)).mkdir()
        for each in range(25):
            (folder / str(parent) / f"{each}.md").hardlink_to(tmp_path / "long.md")
    into = tmp_path / "index"
    command = [sys.executable, "-m", "tool_service.tools.search", str(folder), "--into", str(into)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        while not list(into.glob("sections-*")):  # then it is at work
            assert process.poll() is None
            time.sleep(0.001)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert (out, err) == ("", "cancelled\n" if number == signal.SIGINT else "")
    assert not into.exists()


def test_conveyor_index_hands_over_to_it(folder, tmp_path):
    command = [sys.executable, "-m", "gateway.cli", "index", str(folder), "--into", str(tmp_path / "index"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=os.environ)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["index"] == str(tmp_path / "index")
    wrong = subprocess.run([*command, "--engine", "lucene"], capture_output=True, text=True, timeout=30)
    assert wrong.returncode == 2
    assert "invalid choice: 'lucene'" in wrong.stderr
