"""The tool: whatever way a call comes in, its result is that of an ordinary function."""

import asyncio
import itertools
import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from examples.plain.search import search_tool
from tests.unit.tool_service.completions import BOUND, Log, end, outcome, start, written
from tool_service.execution import events as ev
from tool_service.tools.search import tool as tool_module
from tool_service.tools.search.embedded import EmbeddedEngine
from tool_service.tools.search.engine import WIDEST, Engine, Hit, Index, SearchError
from tool_service.tools.search.found import Found
from tool_service.tools.search.indexing import ENGINES, index_in_memory, write_index
from tool_service.tools.search.settings import SearchSettings
from tool_service.tools.search.tool import search_tools

WORDS = ("walrus", "tusk", "ice", "colony", "seal", "north")
SITES = ("", "a", "a/", "./b", "b/deep", "b/deep/3.md", "a/1.md", "c", "*", "nowhere")
QUERIES = (
    "walrus",
    "walrus tusk",
    "ice colony north",
    "ice",
    "tus",
    "seal nothing",
    "rare",
    "nothing",
    "",
    " ice  ice ",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """More sections with each word than a wide search gives, in folders where not all words are."""
    root = tmp_path_factory.mktemp("documents")
    chance = random.Random(7)
    for place, words in (("a", WORDS), ("b", WORDS[:3]), ("b/deep", WORDS[2:]), ("c", ("rare",))):
        (root / place).mkdir(exist_ok=True)
        for number in range(5):
            sections = (f"# {number} {each}\n{' '.join(chance.choices(words, k=6))}\n" for each in range(15))
            (root / place / f"{number}.md").write_text("".join(sections))
    return root


@pytest.fixture(scope="module", params=ENGINES)
def index(request, folder) -> Index:
    return index_in_memory(folder, request.param)


def engine_over(index: Index) -> Engine:
    return EmbeddedEngine(lambda: index)


def cut(text: str, places: list[int]) -> list[str]:
    edges = sorted({0, len(text), *(place % len(text) for place in places)})
    return [text[one:other] for one, other in itertools.pairwise(edges)]


arguments = st.fixed_dictionaries(
    {"query": st.sampled_from(QUERIES)},
    optional={
        "site": st.sampled_from(SITES),
        "limit": st.integers(-1, 60),
        "speculate": st.booleans(),
    },
).flatmap(lambda given: st.permutations(list(given.items())).map(dict))


@settings(max_examples=60, deadline=None)
@given(arguments=arguments, places=st.lists(st.integers(0, 200), max_size=12), pauses=st.integers(0, 3))
def test_every_cut_and_order_has_the_result_of_the_ordinary_function(index, arguments, places, pauses):
    check_same(index, arguments, places, pauses)


@pytest.mark.slow
@pytest.mark.timeout(300)
@settings(max_examples=2_000, deadline=None)
@given(arguments=arguments, places=st.lists(st.integers(0, 200), max_size=40), pauses=st.integers(0, 9))
def test_every_cut_and_order_has_the_result_of_the_ordinary_function_at_length(index, arguments, places, pauses):
    check_same(index, arguments, places, pauses)


def check_same(index, arguments, places, pauses):
    async def both() -> tuple[object, object]:
        engine = engine_over(index)
        partial = await outcome(
            tool_module._search(engine, 5), cut(written("search", **arguments), places), pauses=pauses
        )
        return partial, await outcome(search_tool(engine, 5), [written("search", **arguments)])

    partial, plain = asyncio.run(both())
    assert isinstance(plain, str)
    assert partial == plain


@settings(max_examples=100, deadline=None)
@given(query=st.sampled_from(QUERIES), site=st.sampled_from(SITES), limit=st.integers(1, WIDEST))
def test_narrowing_a_wide_search_down_is_searching_there(index, query, site, limit):
    async def both() -> tuple[list[Hit], list[Hit]]:
        engine = engine_over(index)
        found = await Found.of(engine, query)
        return await found.narrowed(site, limit), await engine.search(query, limit, site)

    narrowed, searched = asyncio.run(both())
    assert narrowed == searched


class Asked:
    """An engine that says what it was asked, and answers when it is let."""

    def __init__(self, *, held: bool = False) -> None:
        self.asked: list[str] = []
        self.ended: list[str] = []
        self.running = self.most_running = 0
        self.is_open = asyncio.Event()
        self.news = asyncio.Event()
        self.answers = asyncio.Semaphore(0 if held else 1_000)
        self.broken: set[str] = set()

    async def open(self) -> None:
        self.is_open.set()

    async def search(self, query: str, limit: int, site: str = "") -> list[Hit]:
        self.asked.append(query)
        self.news.set()
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            await self.answers.acquire()
            if query in self.broken:
                raise SearchError(f"no {query}")
            return [Hit(f"{site or 'everywhere'}/x", query, "")]
        finally:
            self.running -= 1
            self.ended.append(query)
            self.news.set()

    def covers(self, site: str, hit: Hit) -> bool:
        return not site or hit.source.startswith(f"{site}/")

    async def aclose(self) -> None: ...

    async def until(self, *asked: str) -> None:
        async with asyncio.timeout(BOUND):
            while self.asked != list(asked):
                self.news.clear()
                await self.news.wait()

    async def all_ended(self) -> None:
        async with asyncio.timeout(BOUND):
            while self.running:
                self.news.clear()
                await self.news.wait()


@pytest.fixture
async def asked() -> Asked:
    return Asked()


class Typed:
    """A call that is written bit by bit."""

    def __init__(self, engine: Engine) -> None:
        self.log = Log()
        self.runner = start(self.log, tool_module._search(engine, 5))

    def text(self, text: str) -> None:
        self.runner.text(text)

    async def end(self, reason: str = "stop") -> str | ev.Failure:
        await end(self.runner, reason)
        await self.runner.aclose()
        [finished] = self.log.of(ev.CallFinished)
        return finished.outcome


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_engine_is_opened_when_the_name_is_there_and_asked_when_the_query_is(asked):
    typed = Typed(asked)
    typed.text('<tool_call>{"name": "search", "arguments": {')
    async with asyncio.timeout(BOUND):
        await asked.is_open.wait()
    typed.text('"query": "wal')
    await settled()
    assert asked.asked == []
    typed.text('rus", "limit": ')
    await asked.until("walrus")  # though a filter is still to come
    typed.text('1, "site": "everywhere"}}</tool_call>')
    assert "walrus" in str(await typed.end())
    assert asked.asked == ["walrus"]


async def test_it_is_searched_again_only_where_nothing_of_the_wide_search_is_left(asked):
    for site, count in (("everywhere", 1), ("elsewhere", 2)):
        asked.asked.clear()
        text = await outcome(tool_module._search(asked, 5), [written("search", query="walrus", site=site)])
        assert json.loads(str(text))[0]["source"] == f"{site}/x"
        assert len(asked.asked) == count


async def test_speculation_is_one_search_at_a_time_and_the_newest_text_next():
    asked = Asked(held=True)
    typed = Typed(asked)
    typed.text('<tool_call>{"name": "search", "arguments": {"speculate": true, "query": "wal')
    await asked.until("wal")
    for piece in ("rus", " tu", "sk", " "):
        typed.text(piece)
        await settled()
    assert asked.asked == ["wal"]
    asked.answers.release()
    await asked.until("wal", "walrus tusk")
    asked.answers.release()
    await asked.all_ended()
    typed.text('"}}</tool_call>')
    assert "walrus tusk" in str(await typed.end())
    assert asked.asked == ["wal", "walrus tusk"]  # its hits were there already
    assert asked.most_running == 1


async def test_a_search_for_a_beginning_is_stopped_when_the_query_turns_out_to_be_another():
    asked = Asked(held=True)
    typed = Typed(asked)
    typed.text('<tool_call>{"name": "search", "arguments": {"speculate": true, "query": "wal')
    await asked.until("wal")
    typed.text('rus"')
    await asked.until("wal", "walrus")
    assert asked.ended == ["wal"]
    asked.answers.release()
    typed.text("}}</tool_call>")
    assert "walrus" in str(await typed.end())


@pytest.mark.parametrize(("before", "after"), [('"speculate": false, ', ""), ("", ', "speculate": true'), ("", "")])
async def test_without_speculation_no_beginning_is_searched_for(asked, before, after):
    typed = Typed(asked)
    typed.text(f'<tool_call>{{"name": "search", "arguments": {{{before}"query": "wal')
    await settled()
    typed.text(f'rus"{after}}}}}</tool_call>')
    await typed.end()
    assert asked.asked == ["walrus"]


@pytest.mark.parametrize("reason", ["length", "stop"])
async def test_a_speculation_ends_with_its_call(reason):
    asked = Asked(held=True)
    typed = Typed(asked)
    typed.text('<tool_call>{"name": "search", "arguments": {"speculate": true, "query": "wal')
    await asked.until("wal")
    assert isinstance(await typed.end(reason), ev.Failure)
    await asked.all_ended()
    assert asked.asked == ["wal"]


async def test_what_goes_wrong_with_a_beginning_is_of_no_matter():
    asked = Asked()
    asked.broken = {"wal"}
    typed = Typed(asked)
    for piece in (
        '<tool_call>{"name": "search", "arguments": {"speculate": true, "query": "wal',
        "rus",
        '"}}</tool_call>',
    ):
        typed.text(piece)
        await settled()
    assert "walrus" in str(await typed.end())


async def test_what_goes_wrong_with_the_query_is_told_in_a_sentence():
    asked = Asked()
    asked.broken = {"walrus"}
    for speculate in (True, False):
        result = await outcome(tool_module._search(asked, 5), [written("search", speculate=speculate, query="walrus")])
        assert result == ev.Failure("RAISED", "SearchError: no walrus")


@pytest.fixture
def offered():
    """The tools that settings lead to, and what a call of theirs says."""

    async def offered(**given: object) -> list[str | ev.Failure]:
        async with search_tools(SearchSettings(**given)) as tools:
            return [await outcome(each, [written("search", query="rare")]) for each in tools]

    return offered


@pytest.mark.parametrize("engine_name", ["", *ENGINES])
async def test_a_folder_is_indexed_with_either_engine(offered, folder, engine_name):
    [text] = await offered(folder=str(folder), engine=engine_name, limit=3)
    assert [hit["source"].partition("/")[0] for hit in json.loads(text)] == ["c"] * 3


@pytest.mark.parametrize("engine_name", ENGINES)
async def test_an_index_folder_is_searched_with_the_engine_it_was_made_with(offered, folder, tmp_path, engine_name):
    write_index(folder, tmp_path / "index", engine_name)
    [text] = await offered(index=str(tmp_path / "index"))
    assert len(json.loads(text)) == 5
    other = next(each for each in ENGINES if each != engine_name)
    with pytest.raises(SearchError, match=rf"search\.engine is {other}, but search\.index .* made with {engine_name}"):
        await offered(index=str(tmp_path / "index"), engine=other)


async def test_a_folder_or_index_that_is_not_there_is_an_error_at_start(offered, tmp_path):
    with pytest.raises(SearchError, match=r"search\.folder: there is no folder"):
        await offered(folder=str(tmp_path / "missing"))
    with pytest.raises(SearchError, match="is no search index: No such file"):
        await offered(index=str(tmp_path / "missing"))


async def test_without_documentation_nothing_is_offered(offered, tmp_path, monkeypatch):
    monkeypatch.setattr(tool_module, "DOCUMENTATION", tmp_path / "missing")
    assert await offered() == []


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"folder": "a", "index": "b"}, ("search.folder", "search.index")),
        ({"folder": "a", "url": "http://x"}, ("search.folder", "search.url")),
        ({"index": "a", "url": "http://x"}, ("search.index", "search.url")),
        ({"engine": "fts5", "url": "http://x"}, ("search.engine", "search.url")),
        ({"engine": "lucene"}, ("engine",)),
        ({"limit": 0}, ("limit",)),
        ({"limit": 51}, ("limit",)),
        ({"timeout_seconds": 0}, ("timeout_seconds",)),
        ({"url": "search.example"}, ("url",)),
        ({"url": "ftp://search.example"}, ("url",)),
        ({"url": "http://[x"}, ("url",)),
    ],
)
def test_settings_that_are_wrong_or_contradict_each_other_are_named(given, named):
    with pytest.raises(ValidationError) as caught:
        SearchSettings(**given)
    assert all(name in str(caught.value) for name in named)
