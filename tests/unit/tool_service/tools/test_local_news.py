import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.tool_service.completions import Log, end, start, written
from tests.unit.tool_service.tools.http_get.web_server import page, serving
from tool_service.execution import events as ev
from tool_service.execution.runner import Runner
from tool_service.tools.http_get.settings import HttpGetSettings
from tool_service.tools.local_news.news import InvalidFeed, read_items
from tool_service.tools.local_news.place import STATES, read_place
from tool_service.tools.local_news.settings import LocalNewsSettings
from tool_service.tools.local_news.tool import local_news_tools

NEWS = Path(__file__).resolve().parents[4] / "examples" / "news"
OPEN = '<tool_call>{"name": "local_news", "arguments": '


def starting(log: Log, feed: object = NEWS) -> Runner:
    return start(log, *local_news_tools(LocalNewsSettings(feed=str(feed)), HttpGetSettings(allow_private=True)))


async def told(feed: object = NEWS, **arguments: object) -> str:
    """What a whole call answers, or what its error says."""
    log = Log()
    runner = starting(log, feed)
    runner.text(written("local_news", **arguments))
    await end(runner)
    outcome = log.finished().outcome
    return outcome if isinstance(outcome, str) else f"{outcome.code}: {outcome.message}"


async def test_the_news_of_a_city_comes_latest_first() -> None:
    assert await told(location="San Francisco, CA") == (
        "2026-11-20 Ferry line to Oakland runs at night\n  The last boat now leaves at 01:30.\n  https://news.example/ferry\n"
        "2026-11-18 Library opens a room for quiet repair\n  Bring your lamp; the tools are there."
    )


@pytest.mark.parametrize(
    ("arguments", "titles"),
    [
        ({"location": "boston,  massachusetts"}, ["Harbour bridge closes for one night", "Night market moves indoors"]),
        ({"location": "Boston, MA", "limit": 1}, ["Harbour bridge closes for one night"]),
        ({"location": "Boston, MA", "limit": 0}, ["Harbour bridge closes for one night"]),
        ({"location": "Boston, MA", "topic": "CULTURE market"}, ["Night market moves indoors"]),
        ({"location": "Boston, MA", "topic": "sports"}, ["No news."]),
        ({"location": "Boston, TX"}, ["No news."]),
    ],
)
async def test_topic_and_limit_choose(arguments: dict[str, object], titles: list[str]) -> None:
    lines = [line for line in (await told(**arguments)).splitlines() if not line.startswith("  ")]
    assert len(lines) == len(titles)
    assert all(title in line for title, line in zip(titles, lines, strict=True))


async def test_a_location_that_is_none_stops_the_turn_while_the_other_arguments_are_to_come() -> None:
    log = Log()
    runner = starting(log)
    runner.text(OPEN + '{"location": "San Francisco"')
    veto = await log.until(lambda event: isinstance(event, ev.TurnVetoed))
    assert veto == ev.TurnVetoed("call_1", 'location must be "City, State", for example "San Francisco, CA"')
    await end(runner, "veto")
    assert log.failure().code == "REJECTED"


async def test_a_location_goes_on_while_the_other_arguments_are_to_come() -> None:
    async with serving({"/Boston/Massachusetts": page(b'{"title": "Here"}')}) as server:
        log = Log()
        runner = starting(log, f"{server.origin}/{{city}}/{{state}}")
        runner.text(OPEN + '{"location": "Boston, MA", "topic": "')
        await server.until("GET /Boston/Massachusetts")
        runner.text('here"}}</tool_call>')
        await end(runner)
        assert log.finished().outcome == "Here"


async def test_news_over_http_is_that_of_the_place() -> None:
    lines = [
        {"title": "No place"},
        {"title": "Ours", "location": "St. Paul, MN"},
        {"title": "Not", "location": "Boston, MA"},
    ]
    feed = page("\n".join(map(json.dumps, lines)).encode())
    async with serving({"/news?q=St.%20Paul,Minnesota": feed}) as server:
        assert await told(f"{server.origin}/news?q={{city}},{{state}}", location="St. Paul, MN") == "No place\nOurs"
        assert "404 Not Found" in await told(f"{server.origin}/else", location="St. Paul, MN")


def test_it_is_offered_only_where_there_is_a_feed() -> None:
    assert local_news_tools(LocalNewsSettings(), HttpGetSettings()) == []
    with pytest.raises(ValueError, match=r"local_news\.feed: there is no file or folder nowhere"):
        local_news_tools(LocalNewsSettings(feed="nowhere"), HttpGetSettings())


async def test_an_atom_feed_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "a.atom").write_text(
        '<feed xmlns="http://www.w3.org/2005/Atom"><entry><title>A</title><updated>2026-11-24T23:30:00-02:00</updated>'
        '<link href="http://a.example/"/><summary>S</summary><category term="Boston, MA"/></entry></feed>'
    )
    assert await told(tmp_path / "a.atom", location="Boston, MA") == "2026-11-25 A\n  S\n  http://a.example/"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nonsense", "line 1 is no JSON"),
        ("\n[1]", "line 2 is no object with a title"),
        ("[" * 100_000, "line 1 is no JSON"),
        ("<rss>", "it is no XML"),
        ('<!DOCTYPE a [<!ENTITY a "b">]><rss>&a;</rss>', "it has a document type"),
        ('<?xml version="1.0" encoding="nonsense"?><rss/>', "it is no XML"),
    ],
)
async def test_a_feed_that_cannot_be_read_is_named(text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "bad.xml").write_text(text)
    said = await told(tmp_path, location="Boston, MA")
    assert said.startswith(f"RAISED: InvalidFeed: bad.xml: {problem}")


@given(st.one_of(st.binary(max_size=80), st.text("<>/rsitem&;!?[]\"' ", max_size=60).map(str.encode)))
def test_any_bytes_are_items_or_a_refusal(data: bytes) -> None:
    try:
        read_items(data)
    except InvalidFeed as refused:
        assert str(refused)


@pytest.mark.parametrize(
    "location", ["", "San Francisco", ", CA", "San Francisco,", "a, b, c", "1, 2", "Paris", "94110", "x,y"]
)
def test_what_is_not_city_and_state_is_no_place(location: str) -> None:
    assert read_place(location) is None


@pytest.mark.parametrize("location", ["St. Louis, MO", "Coeur d'Alene, Idaho", "München, Bayern", "O’Fallon ,  mo"])
def test_city_and_state_is_a_place(location: str) -> None:
    assert read_place(location) is not None


def test_a_state_is_the_same_in_letters_and_in_full() -> None:
    assert len(STATES) == 51
    for code, name in STATES.items():
        assert read_place(f"Salem, {code}") == read_place(f"Salem, {name}")


async def test_a_call_that_is_cut_off_is_not_answered() -> None:
    log = Log()
    runner = starting(log)
    runner.text(OPEN + '{"location": "Boston, MA", "topic": "har')
    await asyncio.sleep(0)
    await end(runner, "length")
    assert log.failure().code == "INCOMPLETE"
