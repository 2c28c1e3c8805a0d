"""Both engines, in memory and on disk: what they find for a query."""

import asyncio
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_service.tools.search import fts5_engine
from tool_service.tools.search.engine import WIDEST, Hit, Index, SearchError
from tool_service.tools.search.indexing import ENGINES, index_in_memory, open_index, write_index
from tool_service.tools.search.words import site_path

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


@pytest.fixture(
    scope="module", params=[(engine, place) for engine in ENGINES for place in ("memory", "disk")], ids="-".join
)
def index(request, folder, tmp_path_factory):
    engine, place = request.param
    if place == "disk":
        into = tmp_path_factory.mktemp("index")
        write_index(folder, into, engine)
        index = open_index(into, engine)
    else:
        index = index_in_memory(folder, engine)
    yield index
    index.close()


def find(index: Index, query: str, limit: int = WIDEST, site: str = "") -> list[Hit]:
    return index.search(query, limit, site_path(site))


def titles(hits: list[Hit]) -> list[str]:
    return [hit.title for hit in hits]


def test_a_hit_names_its_file_its_headings_and_the_text_around_the_match(index):
    [hit] = find(index, "wizard")
    assert hit.source == "guide.md"
    assert hit.title == "Guide > Installing > On Windows"
    assert "Use the installer wizard" in hit.snippet


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
    assert titles(find(index, query)) == expected


def test_a_section_with_all_words_is_preferred_to_sections_with_some(index):
    assert titles(find(index, "server run")) == ["Guide > Running"]


def test_some_words_are_enough_if_no_section_has_all(index):
    assert set(titles(find(index, "server walruses"))) == {"Guide > Running", "Other", "Guide > Old style"}


def test_the_best_hits_come_first_and_no_more_than_wanted(index):
    hits = find(index, "penguins")
    assert titles(hits) == ["guide.md", "plain.txt"]  # the shorter section first
    assert find(index, "penguins", limit=1) == hits[:1]


@pytest.mark.parametrize("within", ["notes", "notes/", "./notes", "notes/other.md"])
def test_a_search_can_be_kept_to_a_folder_or_file(index, within):
    assert {hit.source for hit in find(index, "server", site=within)} == {"notes/other.md"}


@pytest.mark.parametrize("within", ["note", "not_s", "%", "*", "' OR 1 --"])
def test_a_path_is_no_pattern(index, within):
    assert find(index, "server", site=within) == []


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
    hits = find(index, query)
    assert bool(hits) == ("server" in query)


@given(query=st.text(), within=st.text(max_size=20).filter(lambda text: text.isprintable()))
def test_no_query_fails(index, query, within):
    assert all(isinstance(hit, Hit) for hit in find(index, query, site=within))


@given(
    st.lists(
        st.sampled_from(
            ['"', "*", "(", ")", "AND", "OR", "NOT", "NEAR", "+", "^", ":", "server", "{", "}", ",", "\0", "\ud800"]
        )
    )
)
def test_no_sequence_of_operators_fails(index, parts):
    find(index, " ".join(parts))
    find(index, "".join(parts))


async def test_many_threads_may_search_at_once(index):
    found = await asyncio.gather(*(asyncio.to_thread(find, index, "server") for _ in range(50)))
    assert all(hits == found[0] for hits in found)
    assert found[0]


@pytest.mark.parametrize("engine", ENGINES)
def test_an_index_keeps_what_the_folder_was(tmp_path, engine):
    (tmp_path / "a.md").write_text("walrus")
    index = index_in_memory(tmp_path, engine)
    (tmp_path / "a.md").unlink()
    assert find(index, "walrus")
    index.close()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("walru", ["Guide > Old style"]),
        ("server comma", ["Guide > Running"]),
        ("walruses servers comma", ["Guide > Running", "Guide > Old style", "Other"]),
        ("zz", []),
    ],
)
def test_the_last_word_may_be_a_beginning_if_no_section_has_all(index, query, expected):
    assert sorted(titles(find(index, query))) == sorted(expected)


@given(limit=st.integers(1, WIDEST), query=st.sampled_from(["the", "server penguins", "aardv", "text of penguins"]))
def test_fewer_hits_are_the_first_of_more(index, limit, query):
    assert find(index, query, limit) == find(index, query)[:limit]


@pytest.mark.parametrize("engine", ENGINES)
def test_an_index_on_disk_is_only_read(folder, tmp_path, monkeypatch, engine):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    write_index(folder, tmp_path / "index", engine)
    before = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "index").rglob("*"))
    index = open_index(tmp_path / "index")
    assert find(index, "server")
    index.close()
    index.close()
    assert sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "index").rglob("*")) == before
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_search_that_takes_too_long_is_stopped(folder, monkeypatch):
    monkeypatch.setattr(fts5_engine, "_STEPS", 1)
    index = index_in_memory(folder)
    monkeypatch.setattr(fts5_engine, "SEARCH_SECONDS", -1.0)
    with pytest.raises(SearchError, match="the search failed: it took more than"):
        find(index, "the")
    monkeypatch.undo()
    assert find(index, "the")
