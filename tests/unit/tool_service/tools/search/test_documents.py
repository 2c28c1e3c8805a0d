"""Documents: which files are read, and how they are cut into sections."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_service.tools.search import documents
from tool_service.tools.search.documents import sections, split
from tool_service.tools.search.engine import SearchError
from tool_service.tools.search.indexing import index_in_memory


@pytest.mark.parametrize("content", [None, "print(1)", ""])
def test_a_folder_without_documents_is_an_error(tmp_path, content):
    if content is not None:
        (tmp_path / ("code.py" if content else "empty.md")).write_text(content)
    with pytest.raises(SearchError, match="has no documents"):
        index_in_memory(tmp_path)


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(SearchError, match="no folder"):
        index_in_memory(tmp_path / "missing")


def test_links_out_of_the_folder_are_not_followed(tmp_path):
    outside = tmp_path / "outside"
    inside = tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (outside / "secret.md").write_text("secret walrus")
    (inside / "real.md").write_text("open walrus")
    (inside / "file.md").symlink_to(outside / "secret.md")
    (inside / "folder").symlink_to(outside)
    (inside / "loop.md").symlink_to(inside / "loop.md")
    (inside / "alias.md").symlink_to(inside / "real.md")
    assert paths_of(inside) == {"real.md", "alias.md"}


def test_files_that_are_too_large_or_not_files_are_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "MAX_FILE_BYTES", 100)
    (tmp_path / "large.md").write_text("walrus " * 100)
    (tmp_path / "small.md").write_text("walrus")
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / "folder.md").mkdir()
    assert paths_of(tmp_path) == {"small.md"}


def test_no_more_files_and_bytes_are_read_than_allowed(tmp_path, monkeypatch):
    for number in range(5):
        (tmp_path / f"{number}.md").write_text("0123456789")
    monkeypatch.setattr(documents, "MAX_FILE_COUNT", 3)
    assert paths_of(tmp_path) == {"0.md", "1.md", "2.md"}
    monkeypatch.setattr(documents, "MAX_TOTAL_BYTES", 25)
    assert paths_of(tmp_path) == {"0.md", "1.md"}


def test_bytes_that_are_no_text_do_no_harm(tmp_path):
    (tmp_path / "broken.md").write_bytes(b"\xef\xbb\xbf# Title\n\xff\xfe walrus \x00 end")
    (tmp_path / os.fsdecode(b"name-\xff.md")).write_text("walrus")
    index = index_in_memory(tmp_path)
    assert {hit.title for hit in index.search("walrus", 9)} == {"Title", "name-\ufffd.md"}
    index.close()


def test_long_sections_are_cut_into_pieces_that_lose_nothing():
    text = "word " * 10_000 + "\n" + "line\n" * 5_000
    pieces = [section.body for section in split("a.txt", text)]
    assert all(len(piece) <= documents.MAX_SECTION_CHARS for piece in pieces)
    assert sum(piece.count("word") for piece in pieces) == 10_000
    assert sum(piece.count("line") for piece in pieces) == 5_000


@given(st.text(), st.sampled_from(["a.md", "a.rst", "a.txt"]))
def test_any_text_can_be_split(text, path):
    assert all(section.path == path for section in split(path, text))


def test_a_fence_ends_only_at_one_as_long():
    text = "````\n```\n# code\n````\n# Heading\ntext\n"
    assert [section.title for section in split("a.md", text)] == ["a.md", "Heading"]


def paths_of(folder) -> set[str]:
    return {section.path for section in sections(folder, documents.documents(folder))}


def test_what_a_terminal_would_act_on_is_left_out(tmp_path):
    (tmp_path / "a\x1b[31m\nb.md").write_text("# Ti\x1b]0;owned\x07tle\n\x1b[2Jwal\x07rus \u202egnp.exe\x9b1m\n")
    [section] = sections(tmp_path, documents.documents(tmp_path))
    assert (section.path, section.title, section.body) == ("a b.md", "Title", "walrus gnp.exe")
