"""Whatever the cut, a turn says the same: B1, B2 and B10, over generated turns and over rubble of them."""

import functools
import json
import re
from collections.abc import Callable
from typing import Any

import jiter
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tool_service.formats.spellings import BLOCKS, SPELLINGS
from tests.unit.tool_service.formats.turns import (
    TOOLS,
    Turn,
    calls_of,
    cuts,
    merged,
    parse,
    pieces_at,
    reasoning_of,
    sealed_of,
    text_of,
    texts_with,
    turns,
)
from tool_service.formats import FORMATS
from tool_service.formats.events import ArgumentSealed, CallSealed, JsonValue
from tool_service.formats.format import EndReason
from tool_service.formats.scanning.markers import MAX_BLANKS

reasons = st.sampled_from(["stop", "length", "veto"])
each_format = pytest.mark.parametrize("name", FORMATS)
TURNS, RUBBLE = 100, 200  # examples
MANY = 2000


def family(name: str) -> type:
    """The class that a format's parser shares with others, or its own."""
    classes = type(FORMATS[name].parser({})).mro()
    return next((each for each in classes if ".families." in each.__module__), classes[0])


FIRSTS = {family(name): name for name in reversed(FORMATS)}  # a format of each family, tried the most


def try_often(check: Callable[..., None], name: str, count: int, **drawn: st.SearchStrategy[Any]) -> None:
    if name not in FIRSTS.values():
        count //= 2

    @given(**drawn)
    @settings(max_examples=count, deadline=None)
    def tried(**given: Any) -> None:
        check(name, **given)

    tried()


def words(text: str) -> list[str]:
    return text.split()


def check_turn(name: str, data: st.DataObject) -> None:
    turn: Turn = data.draw(turns(name))
    events = parse(name, turn.written)
    whole = merged(events)
    assert repr(calls_of(events)) == repr(turn.calls)  # tells 1 from 1.0 and True
    assert words(text_of(events)) == words(turn.content)
    assert reasoning_of(events) == turn.reasoning
    places = data.draw(st.lists(st.integers(0, 10_000), max_size=10))
    assert merged(parse(name, *pieces_at(turn.written, places))) == whole
    assert merged(parse(name, *turn.written)) == whole
    for event in events:
        if isinstance(event, ArgumentSealed):
            check_value(event.value)


def check_value(value: JsonValue) -> None:
    """jiter agrees with it."""
    agreed: Any = jiter.from_json(json.dumps(value).encode(), allow_inf_nan=False, catch_duplicate_keys=True)
    assert repr(agreed) == repr(value)


def test_every_format_is_tested() -> None:
    assert SPELLINGS.keys() == FORMATS.keys()


@each_format
def test_a_turn_is_its_calls_its_text_and_its_reasoning_in_any_pieces(name: str) -> None:
    try_often(check_turn, name, TURNS, data=st.data())


@pytest.mark.slow
@pytest.mark.timeout(600)
@each_format
@given(data=st.data())
@settings(max_examples=MANY, deadline=None)
def test_many_turns_are_their_calls_in_any_pieces(name: str, data: st.DataObject) -> None:
    check_turn(name, data)


def check_two_pieces(name: str, data: st.DataObject) -> None:
    turn: Turn = data.draw(turns(name))
    whole = merged(parse(name, turn.written))
    for pieces in cuts(turn.written):
        assert merged(parse(name, *pieces)) == whole


@each_format
@given(data=st.data())
@settings(max_examples=5, deadline=None)
def test_a_turn_says_the_same_in_every_two_pieces(name: str, data: st.DataObject) -> None:
    check_two_pieces(name, data)


@pytest.mark.slow
@pytest.mark.timeout(900)
@each_format
@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_many_turns_say_the_same_in_every_two_pieces(name: str, data: st.DataObject) -> None:
    check_two_pieces(name, data)


@each_format
@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_a_turn_cut_off_anywhere_seals_the_calls_whose_end_was_seen(name: str, data: st.DataObject) -> None:
    turn: Turn = data.draw(turns(name))
    parser = FORMATS[name].parser(TOOLS)
    ends: list[int] = []  # behind the character that sealed each call
    for place, char in enumerate(turn.written, 1):
        ends += [place for event in parser.feed(char) if isinstance(event, CallSealed)]
    assert len(ends) == len(turn.calls)
    for place in range(len(turn.written) + 1):
        sealed = sealed_of(parse(name, turn.written[:place], reason="length"))
        # Of a block the last line may be the closing one, with no newline behind it.
        if name not in BLOCKS or not re.search(r"^(```[ \t\r]*|<<<)\Z", turn.written[:place], re.MULTILINE):
            assert sealed == [given for _, given in turn.calls][: sum(end <= place for end in ends)]


@each_format
@given(data=st.data(), reason=reasons, places=st.lists(st.integers(0, 10_000), max_size=10))
@settings(max_examples=50, deadline=None)
def test_a_turn_that_ends_anywhere_says_the_same_in_random_pieces(
    name: str, data: st.DataObject, reason: EndReason, places: list[int]
) -> None:
    turn: Turn = data.draw(turns(name))
    written = turn.written[: data.draw(st.integers(0, len(turn.written)))]
    whole = parse(name, written, reason=reason)
    assert merged(parse(name, *pieces_at(written, places), reason=reason)) == merged(whole)


@functools.cache  # hypothesis looks through each new strategy anew
def rubble(name: str) -> st.SearchStrategy[str]:
    """Markers mutated, truncated, repeated and swapped, with parts of calls between them, and random bytes."""
    spelling = SPELLINGS[name]
    parts = [
        *spelling.markers,
        '"',
        "{",
        "}",
        '"name": "search"',
        '"arguments": {"a": "',
        ", ",
        "x",
        " ",
        "\n",
        "(a=1)",
    ]
    values = [
        "null",
        "-0.5e3",
        "[1",
        '"\\ud83d\\ude00"',
        '"\\ud83d"',
        "NaN",
        "'x'",
        "<escape>z<escape>",
        "\ud800",
        "```",
    ]
    blanks = [blank * count for blank in (" ", "\n") for count in (MAX_BLANKS - 1, MAX_BLANKS, MAX_BLANKS + 1)]
    whole = [spelling.write([("search", {"query": "tea", "count": 1})])] if name not in BLOCKS else []
    piece = st.one_of(
        st.sampled_from([*parts, *whole, "<think>", "</think>"]),
        st.sampled_from([*values, *blanks]),
        st.sampled_from([*parts, *whole]).flatmap(lambda text: st.integers(0, len(text)).map(lambda at: text[:at])),
        st.binary(max_size=6).map(lambda data: data.decode(errors="replace")),
    )
    return st.lists(piece, max_size=12).map("".join)


def check_rubble(name: str, data: st.DataObject, reason: EndReason) -> None:
    text = data.draw(rubble(name))
    whole = parse(name, text, reason=reason)
    calls_of(whole)
    assert merged(parse(name, *text, reason=reason)) == merged(whole)
    places = data.draw(st.lists(st.integers(0, 10_000), max_size=6))
    assert merged(parse(name, *pieces_at(text, places), reason=reason)) == merged(whole)
    for event in whole:
        if isinstance(event, CallSealed):
            spelling = SPELLINGS[name]
            assert spelling.seals.strip() in text or spelling.also_seals in text or reason == "stop"


@each_format
def test_rubble_says_the_same_in_any_pieces_and_never_raises(name: str) -> None:
    try_often(check_rubble, name, RUBBLE, data=st.data(), reason=reasons)


@pytest.mark.slow
@pytest.mark.timeout(600)
@each_format
@given(data=st.data(), reason=reasons)
@settings(max_examples=MANY, deadline=None)
def test_much_rubble_says_the_same_in_any_pieces(name: str, data: st.DataObject, reason: EndReason) -> None:
    check_rubble(name, data, reason)


@each_format
@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_text_without_a_call_is_said_unchanged(name: str, data: st.DataObject) -> None:
    text = "x " + data.draw(texts_with(SPELLINGS[name].markers))
    events = parse(name, text)
    if not calls_of(events) and "<think>" not in text and name not in ("openai", "functionary_v2"):
        assert text_of(events) == text
