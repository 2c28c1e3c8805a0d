"""How the tests of the formats parse turns, cut them, and compare what came of it."""

import json
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from tool_service.formats import FORMATS
from tool_service.formats.events import ArgumentsDelta, CallMalformed, CallOpened, CallSealed, Event, StringDelta, Text
from tool_service.formats.format import EndReason

TOOLS = frozenset({"search", "get_weather", "python"})
MARKERS = (
    "<tool_call>",
    "</tool_call>",
    '<tool_call>\n{"name": "x"',
    "```",
    "\n```\n",
    "```json\n",
    '{"name": ',
    "[{",
    "<",
)


def parse(format_name: str, *pieces: str, reason: EndReason = "stop", tools: frozenset[str] = TOOLS) -> list[Event]:
    """All events of a turn that comes in these pieces."""
    parser = FORMATS[format_name].parser(tools)
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events + parser.close(reason)


def merged(events: Iterable[Event]) -> tuple[list[Event], dict[int, str]]:
    """The events however the text was cut: neighbouring deltas joined, the arguments' text apart."""
    said: list[Event] = []
    raw: dict[int, str] = {}
    for event in events:
        match event, said[-1] if said else None:
            case ArgumentsDelta(call, text), _:
                raw[call] = raw.get(call, "") + text
            case Text(text), Text(before):
                said[-1] = Text(before + text)
            case StringDelta(call, name, text), StringDelta(last_call, last_name, before) if (call, name) == (
                last_call,
                last_name,
            ):
                said[-1] = StringDelta(call, name, before + text)
            case _:
                said.append(event)
    return said, raw


def text_of(events: Iterable[Event]) -> str:
    """The text that belongs to no call."""
    return "".join(event.text for event in events if isinstance(event, Text))


def calls_of(events: Iterable[Event]) -> list[tuple[str, Any]]:
    """Each call's name and arguments, or why it is malformed, in order."""
    names: dict[int, str] = {}
    ends: dict[int, Any] = {}
    for event in events:
        match event:
            case CallOpened(call, name):
                assert call == len(names), "calls are numbered in order of appearance"
                names[call] = name
            case CallSealed(call, arguments):
                assert call in names and call not in ends
                ends[call] = arguments
            case CallMalformed(call, reason):
                assert call in names and call not in ends
                ends[call] = reason
    assert names.keys() == ends.keys(), "every call ends"
    return [(name, ends[call]) for call, name in names.items()]


def cuts(text: str) -> Iterator[list[str]]:
    """The text as single characters, and in every two pieces."""
    yield list(text)
    for at in range(1, len(text)):
        yield [text[:at], text[at:]]


def pieces_at(text: str, places: Iterable[int]) -> list[str]:
    """The text cut at some places, counted modulo its length; pieces may be empty."""
    at = sorted(place % (len(text) + 1) for place in places)
    return [text[start:end] for start, end in pairwise([0, *at, len(text)])]


texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from([*MARKERS, "😀𝄞", 'a "quoted" \\ word', "\n\t\r\x00\x1f", "</tool_call", "}"]),
    st.lists(st.sampled_from(["a", "😀", '"', "\\", "\n", "<", "`", "{", *MARKERS]), max_size=5).map("".join),
)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)
arguments = st.dictionaries(st.sampled_from(["query", "city", "x", "größe 😀", 'a"b']), values, max_size=3)


@st.composite
def call_texts(draw: st.DrawFn, name: str, values_of_call: dict[str, Any]) -> str:
    """One call in one of the spellings models use."""
    style: dict[str, Any] = draw(
        st.sampled_from([{}, {"ensure_ascii": False}, {"indent": 2}, {"separators": (",", ":")}])
    )
    given: Any = values_of_call
    if draw(st.booleans()):
        given = json.dumps(values_of_call, ensure_ascii=draw(st.booleans()))
    call = {"name": name, draw(st.sampled_from(["arguments", "parameters"])): given}
    if draw(st.booleans()):
        call = dict(reversed(call.items()))
    if draw(st.booleans()):
        call = {"id": "call_1", **call}
    return json.dumps(call, **style)
