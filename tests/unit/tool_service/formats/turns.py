"""How the tests of the formats parse turns, cut them, and compare what came of it."""

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from tests.unit.tool_service.formats.spellings import BLOCKS, SPELLINGS
from tool_service.formats import FORMATS
from tool_service.formats.events import CallMalformed, CallOpened, CallSealed, Event, Reasoning, StringDelta, Text
from tool_service.formats.format import EndReason, Tools

PROPERTIES: dict[str, Any] = {
    "query": {"type": "string"},
    "city": {"type": "string"},
    "count": {"type": "integer"},
    "ratio": {"type": "number"},
    "exact": {"type": "boolean"},
    "tags": {"type": "array", "items": {"type": "string"}},
    "place": {"type": "object"},
    "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
}
SCHEMA = {"type": "object", "properties": PROPERTIES}
TOOLS: Tools = {
    "search": SCHEMA,
    "get_weather": SCHEMA,
    "python": {"type": "object", "properties": {"code": {"type": "string"}}},
    "plan": {"type": "object", "properties": {"plan": {"type": "string"}}},
}
MARKERS = tuple(dict.fromkeys(marker for spelling in SPELLINGS.values() for marker in spelling.markers))


def parse(
    format_name: str, *pieces: str, reason: EndReason = "stop", tools: Tools = TOOLS, constrained: bool = False
) -> list[Event]:
    """All events of a turn that comes in these pieces. `constrained`: it was written under the format's grammar."""
    parser = FORMATS[format_name].parser(tools)
    if constrained:
        parser.expect_grammar()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events + parser.close(reason)


def merged(events: Iterable[Event]) -> list[Event]:
    """The events however the text was cut: neighbouring deltas joined."""
    said: list[Event] = []
    for event in events:
        match event, said[-1] if said else None:
            case Text(text), Text(before):
                said[-1] = Text(before + text)
            case Reasoning(text), Reasoning(before):
                said[-1] = Reasoning(before + text)
            case StringDelta(call, name, text), StringDelta(last_call, last_name, before) if (call, name) == (
                last_call,
                last_name,
            ):
                said[-1] = StringDelta(call, name, before + text)
            case _:
                said.append(event)
    return said


def text_of(events: Iterable[Event]) -> str:
    """The text that belongs to no call."""
    return "".join(event.text for event in events if isinstance(event, Text))


def reasoning_of(events: Iterable[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Reasoning))


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


def sealed_of(events: Iterable[Event]) -> list[dict[str, Any]]:
    """The arguments of the calls that were sealed."""
    return [event.arguments for event in events if isinstance(event, CallSealed)]


def cuts(text: str) -> Iterator[list[str]]:
    """The text as single characters, and in every two pieces."""
    yield list(text)
    for at in range(1, len(text)):
        yield [text[:at], text[at:]]


def pieces_at(text: str, places: Iterable[int]) -> list[str]:
    """The text cut at some places, counted modulo its length; pieces may be empty."""
    at = sorted(place % (len(text) + 1) for place in places)
    return [text[start:end] for start, end in pairwise([0, *at, len(text)])]


@functools.cache  # hypothesis looks through each new strategy anew
def texts_with(markers: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Strings of every kind, some with these markers, whole or not, in them."""
    marks = sorted(set(markers))
    return st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
        st.sampled_from([*marks, "😀𝄞", 'a "quoted" \\ word', "it's\n\t\r\x1f\x7f", "}", "</think>", "<think>"]),
        st.lists(st.sampled_from(["a", "😀", '"', "\\", "\n", "<", "`", "{", "}", " ", *marks]), max_size=5).map(
            "".join
        ),
    )


texts = texts_with(MARKERS)


def values_with(strings: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    scalars = st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), strings
    )
    keys = st.sampled_from(["a", "größe", "b_2"])
    return st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=6
    )


values = values_with(texts)


@functools.cache
def arguments_of(format_name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Arguments that fit the schema, without strings that the format can't tell from its syntax."""
    spelling = SPELLINGS[format_name]
    strings = texts_with(spelling.markers).filter(lambda text: not re.search(spelling.ambiguous, text))
    if format_name in BLOCKS:
        _, argument = BLOCKS[format_name]
        head = "$" if format_name == "plan" else ""  # a plan's first line
        return strings.map(lambda text: {argument: f"{head}{text}\n" if head or text else ""})
    of: Mapping[str, st.SearchStrategy[Any]] = {
        "query": strings,
        "city": strings,
        "count": st.integers(),
        "ratio": st.floats(allow_nan=False, allow_infinity=False),
        "exact": st.booleans(),
        "tags": st.lists(strings, max_size=3),
        "place": st.dictionaries(st.sampled_from(["a", "größe", "b_2"]), values_with(strings), max_size=3),
        "maybe": st.none() | st.integers(),
    }
    return st.fixed_dictionaries({}, optional=of)


@dataclass(frozen=True)
class Turn:
    """A turn, and what its parser is to say of it."""

    written: str
    calls: list[tuple[str, Any]]
    content: str
    reasoning: str


@functools.cache
def calls_in(format_name: str) -> st.SearchStrategy[list[tuple[str, dict[str, Any]]]]:
    """Names and arguments of some calls."""
    names = [BLOCKS[format_name][0]] if format_name in BLOCKS else ["search", "get_weather"]
    return st.lists(st.tuples(st.sampled_from(names), arguments_of(format_name)), min_size=1, max_size=3)


@st.composite
def turns(draw: st.DrawFn, format_name: str) -> Turn:
    """Calls of one format, with reasoning and text around them."""
    spelling = SPELLINGS[format_name]
    calls = draw(calls_in(format_name))
    thought = draw(st.sampled_from(["", "Hm.", spelling.write(calls[:1]).replace("</think>", "")]))
    reasoning = spelling.think(thought) if thought else ""
    before = draw(st.sampled_from(["", "Hello.\n", "I use x < y and [brackets](x).\n", "😀\n"]))
    after = draw(st.sampled_from(["", "Done.", "That < was [it]."]))
    gap = "" if reasoning.endswith("assistant") or not reasoning else "\n"
    written = reasoning + spelling.text(before) + spelling.write(calls) + after
    said = thought.replace("<|", "") if gap == "" and reasoning else thought
    return Turn(written, list(calls), gap + before + after, said if reasoning else "")
