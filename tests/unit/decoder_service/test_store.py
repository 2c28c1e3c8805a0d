"""The cache of converted models notices what is not as it was written."""

import hashlib
import json
from pathlib import Path

import pytest

from decoder_service.models import store
from decoder_service.models.errors import ModelNotFoundError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A converted model, as far as the cache can tell."""
    monkeypatch.setenv("CONVEYOR_CACHE", str(tmp_path))
    folder = store.folder_of(store.DEFAULT)
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(b"weights")
    files = {"weights": (7, hashlib.sha256(b"weights").hexdigest())}
    (folder / store.MANIFEST).write_text(json.dumps({"files": files}))
    return folder


def test_a_converted_model_is_ready_and_intact(folder: Path) -> None:
    assert store.is_ready(store.DEFAULT) and store.is_intact(store.DEFAULT)
    assert store.pull(store.DEFAULT) == folder


@pytest.mark.parametrize("manifest", ["", "{", "{}", '{"files": {}}'])
def test_a_damaged_manifest_vouches_for_nothing(folder: Path, manifest: str) -> None:
    (folder / store.MANIFEST).write_text(manifest)
    assert not store.is_ready(store.DEFAULT)


def test_a_changed_file_is_not_intact_and_a_missing_one_not_ready(folder: Path) -> None:
    (folder / "weights").write_bytes(b"Weights")
    assert store.is_ready(store.DEFAULT) and not store.is_intact(store.DEFAULT)
    (folder / "weights").unlink()
    assert not store.is_ready(store.DEFAULT)


def test_an_unknown_model_is_named_and_removing_says_whether_there_was_one(folder: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="nothing"):
        store.pull("nothing")
    assert store.remove(store.DEFAULT)
    assert not store.remove(store.DEFAULT)
