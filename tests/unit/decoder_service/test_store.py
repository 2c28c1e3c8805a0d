"""The cache of models notices what is not as it was written, and goes on with what was not finished."""

import json
import os
import shutil
import time
from pathlib import Path
from threading import Thread

import pytest

from decoder_service.models import store
from decoder_service.models.errors import ModelNotFoundError
from tests.unit.decoder_service.packaged import CONTEXT, NAME, install, tiny_gguf, tiny_model, use_index


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalogue with one small model, an empty cache, and the folder in which the model's packages are installed."""
    content = tiny_gguf(tmp_path / "tiny.gguf")
    model = tiny_model(content)
    index = tmp_path / "index"
    index.mkdir()
    for part in model.parts:
        install(part, content[part.offset : part.offset + part.bytes], index)
    use_index(index, monkeypatch)  # pip finds none of them
    monkeypatch.syspath_prepend(index)
    monkeypatch.setattr(store, "CATALOGUE", {NAME: model})
    monkeypatch.setattr(store, "_convert", _convert)
    monkeypatch.setenv("CONVEYOR_CACHE", str(tmp_path / "cache"))
    return index


def _convert(_: object, gguf: Path, made: Path) -> None:
    made.mkdir()
    (made / "weights").write_bytes(gguf.read_bytes()[:10])


@pytest.fixture
def folder(index: Path) -> Path:
    """The model, pulled. Its packages are gone: what is made again is made from what is there."""
    folder = store.pull(NAME)
    shutil.rmtree(index)
    return folder


def test_a_pulled_model_is_ready_intact_and_known(folder: Path, tmp_path: Path) -> None:
    assert store.is_ready(NAME) and store.is_intact(NAME)
    assert store.pull(NAME) == folder and store.locate(NAME) == str(folder)
    assert (folder / store.GGUF).read_bytes() == (tmp_path / "tiny.gguf").read_bytes()
    assert store.gguf_of(NAME) == folder / store.GGUF
    assert store.about(NAME) == store.About("llama", "Q4_0", CONTEXT, 0)
    visible = [path.name for path in folder.parent.iterdir() if not path.name.endswith(".lock")]
    assert visible == [folder.name]


@pytest.mark.parametrize("manifest", ["", "{", "[]", "{}", '{"files": {}}', '{"files": {}, "about": {}}'])
def test_a_damaged_manifest_vouches_for_nothing(folder: Path, manifest: str) -> None:
    (folder / store.MANIFEST).write_text(manifest)
    assert not store.is_ready(NAME) and store.about(NAME) is None


def test_a_changed_file_is_not_intact_and_a_missing_one_not_ready(folder: Path) -> None:
    (folder / "weights").write_bytes(b"Weights???")
    assert store.is_ready(NAME) and not store.is_intact(NAME)
    (folder / "weights").unlink()
    assert not store.is_ready(NAME)


@pytest.mark.parametrize("damage", [b"Weights???", b""])
def test_what_is_damaged_is_made_again_without_fetching_what_is_not(folder: Path, damage: bytes) -> None:
    (folder / "weights").write_bytes(damage)
    assert store.locate(NAME) == str(folder)
    assert store.is_intact(NAME)


def test_a_start_reads_the_files_only_where_something_has_touched_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    sha256 = store._sha256
    monkeypatch.setattr(store, "_sha256", lambda path: read.append(path.name) or sha256(path))
    store.locate(NAME)
    assert read == []
    os.utime(folder / "weights", (1, 1))  # as in a copy of the cache
    store.locate(NAME)
    assert sorted(read) == ["model.gguf", "weights"]
    store.locate(NAME)
    assert len(read) == 2


def test_a_conversion_that_was_interrupted_needs_no_second_download(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store, "_convert", interrupt)
        with pytest.raises(KeyboardInterrupt):
            store.pull(NAME)
    assert not store.is_ready(NAME) and store.disk_bytes(NAME) > 0
    shutil.rmtree(index)
    store.pull(NAME)
    assert store.is_intact(NAME)


def test_what_killed_processes_left_behind_is_swept(index: Path) -> None:
    folder = store.folder_of(NAME)
    for left in (f".{folder.name}-abc", f".{folder.name}.partial-abc"):
        (folder.parent / left / "deep").mkdir(parents=True)
    store.pull(NAME)
    assert not [path for path in folder.parent.iterdir() if "abc" in path.name]


def test_of_two_that_pull_at_once_the_second_waits_and_finds_it_made(
    index: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    make = store._make
    monkeypatch.setattr(store, "_make", lambda *arguments: made.append(arguments) or make(*arguments))
    store.folder_of(NAME).parent.mkdir(parents=True)
    with store._alone_with(NAME):
        pulling = [Thread(target=store.pull, args=[NAME], daemon=True) for _ in range(2)]
        for thread in pulling:
            thread.start()
        deadline = time.monotonic() + 10
        said = ""
        while said.count("waiting for it") < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
            said += capsys.readouterr().err
        assert not made
    for thread in pulling:
        thread.join(10)
    assert store.is_intact(NAME) and len(made) == 1


def test_removing_says_whether_there_was_a_model_and_takes_what_a_pull_has_begun(folder: Path) -> None:
    assert store.remove(NAME)
    assert not folder.exists() and not store.remove(NAME) and store.disk_bytes(NAME) == 0
    store._partial(folder).write_bytes(b"begun")
    assert store.remove(NAME)
    assert not store._partial(folder).exists()


def test_an_unknown_model_is_named(index: Path) -> None:
    for act in (store.pull, store.remove, store.disk_bytes):
        with pytest.raises(ModelNotFoundError, match=r"no model 'nothing'.*tiny"):
            act("nothing")
    assert store.locate("some/hub-name") == "some/hub-name" and store.gguf_of("some/hub-name") is None


def test_the_manifest_names_the_packages(folder: Path) -> None:
    manifest = json.loads((folder / store.MANIFEST).read_text())
    assert manifest["source"] == ["conveyor-tiny-part1==0.1", "conveyor-tiny-part2==0.1"]
