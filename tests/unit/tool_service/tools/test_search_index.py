import asyncio
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_service.tools.search import documents
from tool_service.tools.search.documents import split
from tool_service.tools.search.index import Hit, NothingToSearch, SearchIndex

GUIDE = """\
---
title: hidden front matter
---
Preface about penguins.

# Guide

Welcome to the *guide*.

## Installing

Install the package with pip. Needs a compiler.

```sh
# not a heading
make install
```

### On Windows

Use the installer wizard.

## Running

Start the server with the run command.

Old style
---------

Underlined sections talk about walruses.
"""

RESTRUCTURED = """\
=======
Library
=======

About the library.

Reading
-------

How to read an aardvark.

Deeper
~~~~~~

Even deeper text.

Writing
-------

How to write.
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("documents")
    (root / "guide.md").write_text(GUIDE)
    (root / "library.rst").write_text(RESTRUCTURED)
    (root / "notes").mkdir()
    (root / "notes" / "plain.txt").write_text("# no heading in plain text\nA note on penguins and café.\n")
    (root / "notes" / "other.md").write_text("# Other\n\nThe server in another file.\n")
    (root / "ignored.py").write_text("penguins = 1\n")
    (root / ".hidden.md").write_text("penguins")
    return root


@pytest.fixture(scope="module")
def index(folder):
    index = SearchIndex.build(folder)
    yield index
    index.close()


def titles(hits: list[Hit]) -> list[str]:
    return [hit.title for hit in hits]


def test_a_hit_names_its_file_its_headings_and_the_text_around_the_match(index):
    [hit] = index.search("wizard")
    assert hit.path == "guide.md"
    assert hit.title == "Guide > Installing > On Windows"
    assert "Use the installer wizard." in hit.snippet
    assert hit.score > 0


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("compiler", ["Guide > Installing"]),
        ("make", ["Guide > Installing"]),
        ("walruses", ["Guide > Old style"]),
        ("aardvark", ["Library > Reading"]),
        ("deeper text", ["Library > Reading > Deeper"]),
        ("CAFE", ["plain.txt"]),
        ("wizards", ["Guide > Installing > On Windows"]),
        ("front matter", []),
        ("nonexistent", []),
        ("", []),
        ("*** --", []),
    ],
)
def test_sections_are_found_by_their_words(index, query, expected):
    assert titles(index.search(query)) == expected


def test_a_section_with_all_words_is_preferred_to_sections_with_some(index):
    assert titles(index.search("server run")) == ["Guide > Running"]


def test_some_words_are_enough_if_no_section_has_all(index):
    assert set(titles(index.search("server walruses"))) == {"Guide > Running", "Other", "Guide > Old style"}


def test_the_best_hits_come_first_and_no_more_than_wanted(index):
    hits = index.search("the", limit=3)
    assert len(hits) == 3
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert len(index.search("the", limit=0)) == 1


@pytest.mark.parametrize("within", ["notes", "notes/", "./notes", "notes/other.md"])
def test_a_search_can_be_kept_to_a_folder_or_file(index, within):
    assert {hit.path for hit in index.search("server", path_filter=within)} == {"notes/other.md"}


@pytest.mark.parametrize("within", ["note", "not_s", "%", "*", "' OR 1 --"])
def test_a_path_is_no_pattern(index, within):
    assert index.search("server", path_filter=within) == []


@pytest.mark.parametrize(
    "query",
    [
        '"',
        "'",
        "server*",
        "NEAR(server",
        "server AND",
        "NOT server",
        "title:server",
        "{title} : server",
        "^server",
        "(",
        "-server",
    ],
)
def test_nothing_in_a_query_is_syntax(index, query):
    hits = index.search(query)
    assert bool(hits) == ("server" in query)


@given(query=st.text(), within=st.none() | st.text(max_size=20).filter(lambda text: text.isprintable()))
def test_no_query_fails(index, query, within):
    assert all(isinstance(hit, Hit) for hit in index.search(query, path_filter=within))


@given(
    st.lists(
        st.sampled_from(
            ['"', "*", "(", ")", "AND", "OR", "NOT", "NEAR", "+", "^", ":", "server", "{", "}", ",", "\0", "\ud800"]
        )
    )
)
def test_no_sequence_of_operators_fails(index, parts):
    index.search(" ".join(parts))
    index.search("".join(parts))


async def test_many_threads_may_search_at_once(index):
    found = await asyncio.gather(*(asyncio.to_thread(index.search, "server") for _ in range(50)))
    assert all(hits == found[0] for hits in found)
    assert found[0]


def test_an_index_keeps_what_the_folder_was(tmp_path):
    (tmp_path / "a.md").write_text("walrus")
    index = SearchIndex.build(tmp_path)
    (tmp_path / "a.md").unlink()
    assert index.search("walrus")
    index.close()


@pytest.mark.parametrize("content", [None, "print(1)", ""])
def test_a_folder_without_documents_is_an_error(tmp_path, content):
    if content is not None:
        (tmp_path / ("code.py" if content else "empty.md")).write_text(content)
    with pytest.raises(NothingToSearch, match="has no documents"):
        SearchIndex.build(tmp_path)


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(NothingToSearch, match="no folder"):
        SearchIndex.build(tmp_path / "missing")


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
    index = SearchIndex.build(tmp_path)
    assert {hit.title for hit in index.search("walrus")} == {"Title", "name-\ufffd.md"}
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
    return {section.path for section in documents.sections(folder)}
