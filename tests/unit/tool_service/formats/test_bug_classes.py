"""A test, by number, for each class of bugs seen in others' streaming parsers, in every format where it can occur."""

import json
import re
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from tests.unit.tool_service.formats.spellings import BLOCKS, SPELLINGS
from tests.unit.tool_service.formats.turns import TOOLS, calls_of, cuts, merged, parse, reasoning_of, sealed_of, text_of
from tool_service.formats import FORMATS
from tool_service.formats.events import (
    ArgumentOpened,
    ArgumentSealed,
    CallMalformed,
    CallOpened,
    CallSealed,
    StringDelta,
    Text,
)
from tool_service.formats.format import EndReason
from tool_service.formats.scanning.json_lexer import JsonValue

BLOCK_LINES = {"code_block": "print(6 * 7)\n", "plan": "$1 = search(tea)\n"}
TYPED = [name for name in FORMATS if name not in BLOCKS]  # formats with named arguments
CALL_OBJECTS = {  # formats whose calls are JSON objects with the name in them
    "hermes": "<tool_call>%s</tool_call>",
    "llama3_json": "<|python_tag|>%s",
    "mistral": "[TOOL_CALLS][%s]",
    "granite": "<|tool_call|>[%s]",
    "phi4_mini_json": "functools[%s]",
    "xlam": "[TOOL_CALLS][%s]",
    "json": "%s",
}
JSON_ARGUMENTS = [name for name in TYPED if SPELLINGS[name].seals == "}" and name != "functiongemma"]

each_format = pytest.mark.parametrize("name", FORMATS)
each_typed = pytest.mark.parametrize("name", TYPED)
each_call_object = pytest.mark.parametrize(("name", "wrap"), CALL_OBJECTS.items())


def arguments_in(name: str) -> dict[str, Any]:
    if name in BLOCKS:
        return {BLOCKS[name][1]: BLOCK_LINES[name]}
    return {"query": "tea", "count": 2}


def tool_in(name: str) -> str:
    return BLOCKS[name][0] if name in BLOCKS else "search"


def calls_in(name: str, times: int = 1, /, **arguments: Any) -> str:
    """So many calls of a format."""
    return SPELLINGS[name].write([(tool_in(name), arguments or arguments_in(name))] * times)


def one_call(name: str, **arguments: Any) -> str:
    """A call with its name before its arguments."""
    if name in CALL_OBJECTS:
        return CALL_OBJECTS[name] % json.dumps({"name": "search", "arguments": arguments})
    return calls_in(name, **arguments)


def sealed_at(name: str, text: str) -> int:
    """Behind the character that completes the one call of a text."""
    return text.rindex(SPELLINGS[name].seals) + len(SPELLINGS[name].seals)


def work(format_name: str, text: str, reason: EndReason = "stop") -> int:
    """How many Python functions parsing the text calls, character by character."""
    count = 0

    def counted(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(counted)
    try:
        parse(format_name, *text, reason=reason)
    finally:
        sys.setprofile(None)
    return count


@each_format
def test_b01_several_calls_in_one_delta_lose_nothing(name: str) -> None:
    assert calls_of(parse(name, calls_in(name, 5))) == [(tool_in(name), arguments_in(name))] * 5


@each_format
def test_b02_one_character_at_a_time_and_every_two_pieces_say_what_one_shot_says(name: str) -> None:
    spelling = SPELLINGS[name]
    text = f"{spelling.text('Hello.' + chr(10))}{calls_in(name, 2)}bye {spelling.markers[0]}"
    whole = merged(parse(name, text))
    for pieces in cuts(text):
        assert merged(parse(name, *pieces)) == whole


@each_format
def test_b03_the_end_flushes_what_was_held_back(name: str) -> None:
    text = calls_in(name)
    for length in range(len(text)):
        events = parse(name, text[:length])
        if any(isinstance(event, CallOpened) for event in events):
            break
        assert text_of(events) == text[:length]
    else:
        pytest.fail("no call was opened")


HELD = [
    ("hermes", "a <tool_call>\n"),
    ("hermes", "a </tool"),
    ("hermes", "<think"),
    ("json", "a\n``"),
    ("json", "```json\n\n"),
    ("json", "  "),
    ("pythonic", "\n [f(x"),
    ("pythonic", " \n"),
    ("openai", "<|channel|>final"),
    ("kimi_k2", "<|tool_calls_section_begin|>\n<|tool_call_be"),
    ("code_block", "``"),
    ("code_block", "```python"),
    ("code_block", "```json\n``"),
    ("plan", ">>>\n"),
]


@pytest.mark.parametrize(("name", "text"), HELD)
def test_b03_the_end_flushes_parts_of_markers(name: str, text: str) -> None:
    assert text_of(parse(name, text)) == text


@each_format
@pytest.mark.parametrize("reason", ["length", "veto"])
def test_b04_a_truncated_call_is_never_sealed(name: str, reason: EndReason) -> None:
    text = calls_in(name)
    for length in range(sealed_at(name, text)):
        events = parse(name, text[:length], reason=reason)
        assert sealed_of(events) == []
        assert all(event.incomplete for event in events if isinstance(event, CallMalformed))
    assert sealed_of(parse(name, text[: sealed_at(name, text)], reason=reason)) == [arguments_in(name)]


@each_typed
def test_b04_a_stop_inside_the_call_does_not_seal_it_either(name: str) -> None:
    text = calls_in(name)
    for length in range(sealed_at(name, text)):
        assert sealed_of(parse(name, text[:length])) == []


@each_typed
@pytest.mark.parametrize("reason", ["stop", "length"])
def test_b05_only_what_the_model_wrote_is_said(name: str, reason: EndReason) -> None:
    given = {"exact": True, "count": 12, "query": "green tea"}
    text = calls_in(name, **given)
    for length in range(sealed_at(name, text)):
        events = parse(name, text[:length], reason=reason)
        assert "green tea".startswith("".join(event.text for event in events if isinstance(event, StringDelta)))
        for event in events:
            if isinstance(event, ArgumentSealed):
                assert repr(event.value) == repr(given[event.name])


def long_texts(name: str) -> list[Callable[[int], str]]:
    """Texts that grow: a long argument, markers on end, many calls, what looks like markers."""
    spelling, argument = SPELLINGS[name], BLOCKS[name][1] if name in BLOCKS else "query"
    head = "$1\n" if name == "plan" else ""
    texts: list[Callable[[int], str]] = [
        lambda n: calls_in(name, **{argument: head + "word < \n" * (n // 8)}),
        lambda n: spelling.markers[0] * (n // len(spelling.markers[0])),
        lambda n: "".join(spelling.markers) * (n // len("".join(spelling.markers))),
        lambda n: "`\n<[{" * (n // 5),
    ]
    if name not in BLOCKS:
        texts.append(lambda n: calls_in(name, tags=["x"] * (n // 5)))
    return texts


@each_format
def test_b06_work_is_proportional_to_the_text(name: str) -> None:
    for make in long_texts(name):
        assert work(name, make(4_000)) < 5 * work(name, make(1_000)) + 200


@each_format
def test_b06_long_arguments_in_single_characters_are_read(name: str) -> None:
    argument = BLOCKS[name][1] if name in BLOCKS else "query"
    value = ("$" if name == "plan" else "") + "lorem ipsum < x\n" * 4_000
    assert calls_of(parse(name, *calls_in(name, **{argument: value}))) == [(tool_in(name), {argument: value})]


@each_format
def test_b07_repetitions_do_not_blow_up(name: str) -> None:
    for unit in (*SPELLINGS[name].markers, "{", "[", "[{", '{"a":', "```", "```\n", "\n ", " ", '"', "\\", "<", "f("):
        text = unit * (10_000 // len(unit))
        for start in ("", "x", calls_in(name)):
            calls_of(parse(name, start + text))


@pytest.mark.parametrize("name", JSON_ARGUMENTS)
def test_b07_a_hundred_thousand_brackets_are_malformed(name: str) -> None:
    head, _ = one_call(name, tags=[]).split("[]")
    for bracket in ("[", '{"a":'):
        ((_, reason),) = calls_of(parse(name, head + bracket * 100_000))
        assert "nested deeper" in reason


@each_format
def test_b08_a_string_is_streamed_as_it_comes(name: str) -> None:
    argument = BLOCKS[name][1] if name in BLOCKS else "query"
    opening, _ = one_call(name, **{argument: "$|"}).split("|" if name == "plan" else "$|")
    parser = FORMATS[name].parser(TOOLS)
    parser.feed(opening)
    for word in ("one ", "two ", "three"):
        assert [event.text for event in parser.feed(word) if isinstance(event, StringDelta)] == [word]


@each_format
def test_b09_a_string_may_hold_the_markers(name: str) -> None:
    argument = BLOCKS[name][1] if name in BLOCKS else "query"
    value = ("$" if name == "plan" else "") + " x ".join(SPELLINGS[name].markers) + " <think> }\n"
    assert calls_of(parse(name, calls_in(name, **{argument: value}))) == [(tool_in(name), {argument: value})]


@each_format
def test_b09_prose_that_mentions_the_markers_is_text(name: str) -> None:
    for marker in SPELLINGS[name].markers:
        if re.search(r'"name": "|[fx][({]', marker):
            continue  # it begins a call
        text = f"I write {marker} around it.\nIt is all."
        assert merged(parse(name, *text)) == [Text(text)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hermes", "Write <tool_call> and </tool_call> around it.\n<tool_call>\nname: x\n</tool_call>"),
        ("json", 'Write {"name": "search", "arguments": {}} or `[{"name": "search"}]`.'),
        ("json", 'In code:\n```python\n{"name": "search", "arguments": {}}\n```\n'),
        ("pythonic", "Write [search(query='tea')] or\n[search]: x\n[search(x)]"),
        ("qwen3_coder", "<tool_call>\n<function=search> is how it begins."),
        ("code_block", "Use ```python\nprint()\n``` inline\n  ```python\nx\n"),
        ("plan", "Use >>> to begin.\n>>> print(1)\n"),
    ],
)
def test_b09_prose_that_shows_a_call_is_text(name: str, text: str) -> None:
    assert merged(parse(name, *text)) == [Text(text)]


@each_format
def test_b10_text_is_held_back_no_longer_than_it_may_be_a_marker(name: str) -> None:
    marker = {"json": "```json", "pythonic": "[search"}.get(name, SPELLINGS[name].markers[0])
    for length in range(1, len(marker)):
        parser = FORMATS[name].parser(TOOLS)
        text = "a\n" + marker[:length] + "~~ \nx"
        assert text_of([event for char in text for event in parser.feed(char)]) == text


@each_format
def test_b11_unicode_survives_any_cut(name: str) -> None:
    argument = BLOCKS[name][1] if name in BLOCKS else "query"
    value = "$ 😀 é 𝄞 日本 \u2028 \x7f\n"
    for pieces in cuts(calls_in(name, **{argument: value})):
        assert calls_of(parse(name, *pieces)) == [(tool_in(name), {argument: value})]


@pytest.mark.parametrize("name", JSON_ARGUMENTS)
def test_b11_surrogate_pairs_survive_any_cut(name: str) -> None:
    text = calls_in(name, query="PAIR", place={"KEY": 1})
    for pieces in cuts(text.replace("PAIR", r"\ud83d\ude00 \u00e9").replace("KEY", r"\ud83d\ude00")):
        events = parse(name, *pieces)
        assert calls_of(events) == [("search", {"query": "😀 é", "place": {"😀": 1}})]
        "".join(event.text for event in events if isinstance(event, StringDelta)).encode()


@each_format
def test_b12_parallel_calls_keep_apart(name: str) -> None:
    events = parse(name, *calls_in(name, 3))
    assert [event.call for event in events if isinstance(event, CallOpened)] == [0, 1, 2]
    assert [event.call for event in events if isinstance(event, CallSealed)] == [0, 1, 2]
    assert calls_of(events) == calls_of(parse(name, calls_in(name))) * 3


@each_typed
def test_b13_a_name_is_not_said_before_it_is_sealed(name: str) -> None:
    parser = FORMATS[name].parser({"run_in": {}, "run_in_terminal": {}})
    text = SPELLINGS[name].write([("run_in_terminal", {"query": "ls"})])
    end = text.index("run_in_terminal") + len("run_in_terminal")
    assert [event for char in text[:end] for event in parser.feed(char) if isinstance(event, CallOpened)] == []
    opened = [event for char in text[end:] for event in parser.feed(char) if isinstance(event, CallOpened)]
    assert opened == [CallOpened(0, "run_in_terminal")]


@each_call_object
def test_b14_arguments_before_the_name_are_said_after_it(name: str, wrap: str) -> None:
    text = wrap % '{"arguments": {"query": "tea", "n": 2, "empty": ""}, "name": "search"}'
    for pieces in cuts(text):
        assert merged(parse(name, *pieces)) == [
            CallOpened(0, "search"),
            ArgumentOpened(0, "query"),
            StringDelta(0, "query", "tea"),
            ArgumentSealed(0, "query", "tea"),
            ArgumentSealed(0, "n", 2),
            ArgumentOpened(0, "empty"),
            ArgumentSealed(0, "empty", ""),
            CallSealed(0, {"query": "tea", "n": 2, "empty": ""}),
        ]


@each_typed
def test_b15_a_call_without_arguments_is_a_call(name: str) -> None:
    for pieces in cuts(SPELLINGS[name].write([("search", {})])):
        assert calls_of(parse(name, *pieces)) == [("search", {})]


NO_ARGUMENTS = ["{}", "null", '""', '"{}"', '"null"', '" "']


@each_call_object
def test_b15_no_arguments_in_other_words(name: str, wrap: str) -> None:
    for arguments in NO_ARGUMENTS:
        for key in ("arguments", "parameters"):
            text = wrap % f'{{"name": "search", "{key}": {arguments}}}'
            assert calls_of(parse(name, text)) == [("search", {})]
    assert calls_of(parse(name, wrap % '{"name": "search"}')) == [("search", {})]


@pytest.mark.parametrize(("name", "text"), [("code_block", "```python\n```"), ("plan", ">>>\n<<<")])
def test_b15_an_empty_block_is_a_call(name: str, text: str) -> None:
    assert [list(given.values()) for given in sealed_of(parse(name, text))] == [[""]]


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "functionary_v2"])  # it has no reasoning
def test_b16_a_call_inside_reasoning_is_reasoning(name: str) -> None:
    thought = f"I look it up.\n{calls_in(name)}" if name != "openai" else 'I write {"query": "tea"} to search.'
    text = SPELLINGS[name].think(thought) + calls_in(name)
    for pieces in cuts(text):
        events = parse(name, *pieces)
        assert calls_of(events) == [(tool_in(name), arguments_in(name))]
        assert reasoning_of(events) == thought
        assert text_of(events).strip() == ""


@each_call_object
def test_b17_arguments_encoded_as_a_string_are_decoded_once(name: str, wrap: str) -> None:
    inner: dict[str, JsonValue] = {"query": 'a "b" \\ 😀\n', "nested": {"json": '{"x": "\\u0041"}'}}
    text = wrap % json.dumps({"name": "search", "arguments": f" \n{json.dumps(inner)} "})
    for pieces in cuts(text):
        said = merged(parse(name, *pieces))
        assert said[1:4] == [
            ArgumentOpened(0, "query"),
            StringDelta(0, "query", 'a "b" \\ 😀\n'),
            ArgumentSealed(0, "query", 'a "b" \\ 😀\n'),
        ]
        assert said[-1] == CallSealed(0, inner)


@each_typed
def test_b18_values_have_the_type_of_the_schema_or_of_their_writing(name: str) -> None:
    given = {"query": "123", "count": 123, "ratio": 1.5, "maybe": None, "city": "null", "exact": True, "tags": ["1"]}
    (_, arguments) = calls_of(parse(name, calls_in(name, **given)))[0]
    assert repr(arguments) == repr(given)


@each_typed
def test_b19_an_unknown_tool_is_a_call_all_the_same(name: str) -> None:
    assert calls_of(parse(name, SPELLINGS[name].write([("nope", {"count": 1})]))) == [("nope", {"count": 1})]


NO_CALLS = [
    '{"nam": oops',
    '{"name": 5, "arguments": {}}',
    '{"arguments": {"a": \\}}',
    '{"name": "", "id": 1}',
    '{"name": "a\x00"}',
    '{"city": "Paris"}',
    '{"name" "search"}',
    "{}",
]


@each_call_object
@pytest.mark.parametrize("value", NO_CALLS)
def test_b20_what_cannot_be_read_as_a_call_is_said_unchanged(name: str, wrap: str, value: str) -> None:
    text = wrap.split("%s")[0] + value
    for pieces in cuts(text):
        assert merged(parse(name, *pieces)) == [Text(text)]


@each_format
def test_b20_later_calls_live_on_after_what_looked_like_one(name: str) -> None:
    text = calls_in(name)
    end = min(text.find(part) for part in ('"', "\n" if name in BLOCKS else "search") if part in text)
    for length in range(1, end):
        rubble = f"Hm {text[:length]}~~\n"
        events = parse(name, SPELLINGS[name].text(rubble) + text)
        assert calls_of(events) == [(tool_in(name), arguments_in(name))]
        assert rubble.strip() in text_of(events)


@each_typed
def test_a_key_that_comes_again_makes_a_call_malformed_but_under_a_grammar(name: str) -> None:
    text = SPELLINGS[name].write([("search", {"place": {"k1": 1, "k2": {"deep": [{"x1": 2, "o": 5, "x2": 3}]}}})])
    for pieces in cuts(text.replace("k2", "k1").replace("x2", "x1")):
        ((_, reason),) = calls_of(parse(name, *pieces))
        assert "twice" in reason
        expected = {"place": {"k1": {"deep": [{"x1": 3, "o": 5}]}}}
        assert calls_of(parse(name, *pieces, constrained=True)) == [("search", expected)]


@each_typed
def test_an_argument_that_comes_again_makes_a_call_malformed_under_a_grammar_too(name: str) -> None:
    text = SPELLINGS[name].write([("search", {"query": "tea", "count": 2})]).replace("count", "query")
    ((_, reason),) = calls_of(parse(name, text, constrained=True))
    assert "twice" in reason


@each_typed
def test_b21_one_malformed_call_leaves_its_siblings_alone(name: str) -> None:
    good, bad = {"query": "a", "city": "b"}, {"query": "tea", "count": 2}
    text = SPELLINGS[name].write([("search", good), ("get_weather", bad), ("search", good)])
    for pieces in cuts(text.replace("count", "query")):  # given twice
        first, second, third = calls_of(parse(name, *pieces))
        assert first == third == ("search", good)
        assert second[0] == "get_weather"
        assert "twice" in second[1]


BROKEN = [
    ("hermes", "%(good)s<tool_call>\n%(bad)s\n</tool_call>%(good)s"),
    ("hermes", "%(good)s<tool_call>\n%(bad)s\n%(good)s"),
    ("json", "%(good)s\n%(bad)s\n%(good)s"),
    ("json", "```json\n%(good)s\n%(bad)s\n%(good)s\n```"),
    ("json", "```json\n%(good)s\n```\n```json\n%(bad)s\n```\n```json\n%(good)s\n```"),
]


@pytest.mark.parametrize(("name", "text"), BROKEN)
def test_b21_a_call_that_is_no_json_leaves_its_siblings_alone(name: str, text: str) -> None:
    good = CALL_OBJECTS[name] % '{"name": "search", "arguments": {"n": 1}}'
    bad = '{"name": "search", "arguments": {"n": oops, "text": "</tool_cal>"}}'
    for pieces in cuts(text % {"good": good, "bad": bad}):
        first, second, third = calls_of(parse(name, *pieces))
        assert first == third == ("search", {"n": 1})
        assert second == ("search", "the call is not JSON: a value was expected")
        assert text_of(parse(name, *pieces)) == ""


def test_b21_arguments_of_the_wrong_kind_spoil_only_their_call() -> None:
    bad = '{"name": "search", "arguments": [{"name": "x"}, "</tool_call>"], "id": 1}'
    text = CALL_OBJECTS["hermes"] % bad + CALL_OBJECTS["hermes"] % '{"name": "search"}'
    assert calls_of(parse("hermes", text)) == [("search", "the arguments are not an object"), ("search", {})]


PYTHON_SIBLINGS = [
    "search(tea)",
    "search(query=tea + 'x')",
    "search(query='tea' 'x')",
    "search(*rest)",
    "search(query=open('f'), count=(1 + 2))",
    "search(query={1, 2})",
    "search(count=1j)",
    "search(query=f'x')",
]


@pytest.mark.parametrize("bad", PYTHON_SIBLINGS)
def test_b21_an_expression_that_is_no_literal_spoils_only_its_call(bad: str) -> None:
    text = f"[get_weather(city='a)]'), {bad}, get_weather(city=\"b\")]"
    for pieces in cuts(text):
        first, second, third = calls_of(parse("pythonic", *pieces))
        assert (first, third) == (("get_weather", {"city": "a)]"}), ("get_weather", {"city": "b"}))
        assert second[0] == "search"
        assert isinstance(second[1], str)
