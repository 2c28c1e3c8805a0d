"""A test, by number, for each class of bugs seen in others' streaming parsers that can occur in these formats."""

import json
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from tests.unit.tool_service.formats.turns import calls_of, cuts, merged, parse, text_of
from tool_service.formats import FORMATS
from tool_service.formats.events import (
    ArgumentOpened,
    ArgumentsDelta,
    ArgumentSealed,
    CallMalformed,
    CallOpened,
    CallSealed,
    StringDelta,
    Text,
)
from tool_service.formats.format import EndReason
from tool_service.formats.json_lexer import JsonValue

HERMES_CALL = '<tool_call>\n{"name": "search", "arguments": {"query": "tea", "n": 2}}\n</tool_call>'
JSON_CALL = '```json\n{"name": "search", "arguments": {"query": "tea", "n": 2}}\n```\n'
CODE_CALL = "```python\nprint(6 * 7)\n```\n"
ONE_CALL = {"hermes": HERMES_CALL, "json": JSON_CALL, "code_block": CODE_CALL}
JSON_FORMATS = ["hermes", "json"]


def wrap(name: str, value: str) -> str:
    return f"<tool_call>\n{value}\n</tool_call>" if name == "hermes" else value


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


@pytest.mark.parametrize("name", FORMATS)
def test_b01_several_calls_in_one_delta_lose_nothing(name: str) -> None:
    assert len(calls_of(parse(name, ONE_CALL[name] * 5))) == 5


@pytest.mark.parametrize("name", FORMATS)
def test_b02_one_character_at_a_time_and_every_two_pieces_say_what_one_shot_says(name: str) -> None:
    text = f"Hello.\n{ONE_CALL[name]}\n{ONE_CALL[name]}bye <tool_call>"
    for pieces in cuts(text):
        assert merged(parse(name, *pieces)) == merged(parse(name, text))


HELD = [
    ("hermes", "a <tool_call>\n"),
    ("hermes", "a </tool"),
    ("json", "a\n``"),
    ("json", "```json\n\n"),
    ("json", "  "),
    ("code_block", "``"),
    ("code_block", "```python"),
    ("code_block", "```json\n``"),
]


@pytest.mark.parametrize(("name", "text"), HELD)
def test_b03_the_end_flushes_what_was_held_back(name: str, text: str) -> None:
    assert text_of(parse(name, text)) == text


@pytest.mark.parametrize("reason", ["length", "veto"])
@pytest.mark.parametrize("name", FORMATS)
def test_b04_a_truncated_call_is_never_sealed(name: str, reason: EndReason) -> None:
    call = ONE_CALL[name].rstrip("\n")
    complete = call.rindex("}") + 1 if name in JSON_FORMATS else len(call) + 1
    for length in range(complete):
        events = parse(name, call[:length], reason=reason)
        assert not any(isinstance(event, CallSealed) for event in events)
        assert all(event.incomplete for event in events if isinstance(event, CallMalformed))
        opened = any(isinstance(event, CallOpened) for event in events)
        assert opened == any(isinstance(event, CallMalformed) for event in events)


@pytest.mark.parametrize("name", JSON_FORMATS)
def test_b04_a_stop_inside_the_json_does_not_seal_either(name: str) -> None:
    for length in range(ONE_CALL[name].rindex("}") + 1):
        assert not any(isinstance(event, CallSealed) for event in parse(name, ONE_CALL[name][:length]))


@pytest.mark.parametrize("name", JSON_FORMATS)
def test_b05_only_what_the_model_wrote_is_said(name: str) -> None:
    text = wrap(name, '{"name": "search", "arguments": {"flag": true, "n": 12, "query": "te')
    for reason in ("stop", "length"):
        said, raw = merged(parse(name, text.removesuffix("\n</tool_call>"), reason=reason))
        assert said == [
            CallOpened(0, "search"),
            ArgumentSealed(0, "flag", True),
            ArgumentSealed(0, "n", 12),
            ArgumentOpened(0, "query"),
            StringDelta(0, "query", "te"),
            CallMalformed(0, "the text ended inside the call", incomplete=True),
        ]
        assert raw == {0: '{"flag": true, "n": 12, "query": "te'}


LONG: dict[str, list[Callable[[int], str]]] = {
    "hermes": [
        lambda n: wrap("hermes", json.dumps({"name": "x", "arguments": {"a": "word \n" * (n // 7)}})),
        lambda n: wrap("hermes", json.dumps({"arguments": {"a": ["x", 1] * (n // 10)}, "name": "x"})),
        lambda n: wrap("hermes", json.dumps({"name": "x", "arguments": json.dumps({"a": "word " * (n // 5)})})),
        lambda n: "<tool_call> \n" * (n // 13),
        lambda n: "<" * n,
    ],
    "json": [
        lambda n: json.dumps({"name": "x", "arguments": {"a": "word \n" * (n // 7)}}),
        lambda n: json.dumps([{"name": "search", "arguments": {}}] * (n // 38)),
        lambda n: "{\n" * (n // 2),
        lambda n: "```x\n" * (n // 5),
        lambda n: " \n" * (n // 2),
    ],
    "code_block": [
        lambda n: "```python\n" + "x = 1\n" * (n // 6),
        lambda n: "```python\n" + "``\n" * (n // 3),
        lambda n: "```" * (n // 3),
        lambda n: "`\n" * (n // 2),
    ],
}


@pytest.mark.parametrize(("name", "make"), [(name, make) for name, makes in LONG.items() for make in makes])
def test_b06_work_is_proportional_to_the_text(name: str, make: Callable[[int], str]) -> None:
    assert work(name, make(8_000)) < 4.4 * work(name, make(2_000))


@pytest.mark.parametrize("name", FORMATS)
def test_b06_long_arguments_in_single_characters_are_read(name: str) -> None:
    value = "lorem ipsum\n" * 8_000
    call = json.dumps({"name": "search", "arguments": {"query": value}})
    text = f"```python\n{value}```" if name == "code_block" else wrap(name, call)
    ((_, arguments),) = calls_of(parse(name, *text))
    assert list(arguments.values()) == [value]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "unit", ["<tool_call>", "<tool_call>\n", "{", "[", "[{", '{"a":', "```", "```\n", "\n ", " ", '"', "\\"]
)
def test_b07_repetitions_do_not_blow_up(name: str, unit: str) -> None:
    text = unit * (60_000 // len(unit))
    assert text_of(parse(name, text)) == text
    assert text_of(parse(name, "x" + text)) == "x" + text


def test_b07_a_hundred_thousand_brackets_are_malformed() -> None:
    for bracket in ("[", '{"a":'):
        text = wrap("hermes", '{"name": "x", "arguments": {"a": ' + bracket * 100_000)
        ((_, reason),) = calls_of(parse("hermes", text))
        assert "nested deeper" in reason


@pytest.mark.parametrize("name", FORMATS)
def test_b08_a_string_is_streamed_as_it_comes(name: str) -> None:
    opening = "```python\n" if name == "code_block" else wrap(name, '{"name": "search", "arguments": {"query": "')
    parser = FORMATS[name].parser(frozenset({"search"}))
    parser.feed(opening.removesuffix("\n</tool_call>"))
    for word in ("one ", "two ", "three"):
        said = parser.feed(word)
        assert [event.text for event in said if isinstance(event, StringDelta)] == [word]


def test_b09_a_string_may_hold_the_markers() -> None:
    value = 'say </tool_call> and <tool_call>\n{"name": "x"} or ```\n'
    call = json.dumps({"name": "search", "arguments": {"query": value}})
    assert calls_of(parse("hermes", wrap("hermes", call))) == [("search", {"query": value})]
    assert calls_of(parse("json", f"```json\n{call}\n```")) == [("search", {"query": value})]
    assert calls_of(parse("code_block", "```python\ns = '''\n ```\n```x'''\n```")) == [
        ("python", {"code": "s = '''\n ```\n```x'''\n"})
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hermes", "Write <tool_call> and </tool_call> around it.\n<tool_call>\nname: x\n</tool_call>"),
        ("json", 'Write {"name": "search", "arguments": {}} or `[{"name": "search"}]`.'),
        ("json", 'In code:\n```python\n{"name": "search", "arguments": {}}\n```\n'),
        ("code_block", "Use ```python\nprint()\n``` inline\n  ```python\nx\n"),
    ],
)
def test_b09_prose_that_mentions_the_markers_is_text(name: str, text: str) -> None:
    assert merged(parse(name, *text)) == ([Text(text)], {})


@pytest.mark.parametrize("name", FORMATS)
def test_b10_text_is_held_back_no_longer_than_it_may_be_a_marker(name: str) -> None:
    marker = {"hermes": "<tool_call>", "json": "\n```json", "code_block": "\n```python"}[name]
    for length in range(1, len(marker)):
        parser = FORMATS[name].parser(frozenset())
        assert text_of(parser.feed("a" + marker[:length])) == "a\n"[: 1 + (marker[0] == "\n")]
        assert text_of(parser.feed("-`")) == marker[:length].lstrip("\n") + "-`"


@pytest.mark.parametrize("name", JSON_FORMATS)
def test_b11_surrogate_pairs_and_unicode_survive_any_cut(name: str) -> None:
    text = wrap(name, r'{"name": "search", "arguments": {"query": "\ud83d\ude00 é 𝄞 \u00e9 日本", "\ud83d\ude00": 1}}')
    for pieces in cuts(text):
        events = parse(name, *pieces)
        assert calls_of(events) == [("search", {"query": "😀 é 𝄞 é 日本", "😀": 1})]
        "".join(event.text for event in events if isinstance(event, StringDelta)).encode()


@pytest.mark.parametrize("name", FORMATS)
def test_b12_parallel_calls_keep_apart(name: str) -> None:
    events = parse(name, *(ONE_CALL[name] * 3))
    assert [event.call for event in events if isinstance(event, CallOpened)] == [0, 1, 2]
    assert [event.call for event in events if isinstance(event, CallSealed)] == [0, 1, 2]
    assert calls_of(events) == calls_of(parse(name, ONE_CALL[name])) * 3


@pytest.mark.parametrize("name", JSON_FORMATS)
def test_b13_a_name_is_not_said_before_it_is_sealed(name: str) -> None:
    parser = FORMATS[name].parser(frozenset({"run_in", "run_in_terminal"}))
    opening = wrap(name, '{"name": "run_in').removesuffix("\n</tool_call>")
    assert parser.feed(opening) == []
    assert parser.feed("_terminal") == []
    assert parser.feed('"') == [CallOpened(0, "run_in_terminal")]


@pytest.mark.parametrize("name", JSON_FORMATS)
def test_b14_arguments_before_the_name_are_said_after_it(name: str) -> None:
    text = wrap(name, '{"arguments": {"query": "tea", "n": 2, "empty": ""}, "name": "search"}')
    for pieces in cuts(text):
        said, raw = merged(parse(name, *pieces))
        assert said == [
            CallOpened(0, "search"),
            ArgumentOpened(0, "query"),
            StringDelta(0, "query", "tea"),
            ArgumentSealed(0, "query", "tea"),
            ArgumentSealed(0, "n", 2),
            ArgumentOpened(0, "empty"),
            ArgumentSealed(0, "empty", ""),
            CallSealed(0, {"query": "tea", "n": 2, "empty": ""}),
        ]
        assert raw == {0: '{"query": "tea", "n": 2, "empty": ""}'}


NO_ARGUMENTS = [
    "",
    ', "arguments": {}',
    ', "arguments": null',
    ', "arguments": ""',
    ', "parameters": "{}"',
    ', "arguments": "null"',
    ', "arguments": " "',
]


@pytest.mark.parametrize("name", JSON_FORMATS)
@pytest.mark.parametrize("rest", NO_ARGUMENTS)
def test_b15_a_call_without_arguments_is_a_call(name: str, rest: str) -> None:
    text = wrap(name, f'{{"name": "search"{rest}}}')
    for pieces in cuts(text):
        assert calls_of(parse(name, *pieces)) == [("search", {})]


def test_b15_empty_code_is_a_call() -> None:
    assert calls_of(parse("code_block", "```python\n```")) == [("python", {"code": ""})]


@pytest.mark.parametrize("name", FORMATS)
def test_b16_a_call_inside_reasoning_is_a_call(name: str) -> None:
    events = parse(name, f"<think>\nI look it up.\n{ONE_CALL[name]}\n</think>\n{ONE_CALL[name]}")
    assert len(calls_of(events)) == 2
    assert text_of(events).startswith("<think>\nI look it up.\n")


@pytest.mark.parametrize("name", JSON_FORMATS)
def test_b17_arguments_encoded_as_a_string_are_decoded_once(name: str) -> None:
    inner: dict[str, JsonValue] = {"query": 'a "b" \\ 😀\n', "nested": {"json": '{"x": "\\u0041"}'}}
    text = wrap(name, json.dumps({"name": "search", "arguments": f" \n{json.dumps(inner)} "}))
    for pieces in cuts(text):
        said, raw = merged(parse(name, *pieces))
        assert said[1:4] == [
            ArgumentOpened(0, "query"),
            StringDelta(0, "query", 'a "b" \\ 😀\n'),
            ArgumentSealed(0, "query", 'a "b" \\ 😀\n'),
        ]
        assert said[-1] == CallSealed(0, inner)
        assert raw == {0: json.dumps(inner)}


@pytest.mark.parametrize("name", JSON_FORMATS)
def test_b18_values_keep_the_type_they_are_written_in(name: str) -> None:
    text = wrap(
        name, '{"name": "search", "arguments": {"a": "123", "b": 123, "c": 1.0, "d": null, "e": "null", "f": true}}'
    )
    (_, arguments) = calls_of(parse(name, text))[0]
    assert repr(arguments) == "{'a': '123', 'b': 123, 'c': 1.0, 'd': None, 'e': 'null', 'f': True}"


@pytest.mark.parametrize("name", JSON_FORMATS)
def test_b19_an_unknown_tool_is_a_call_all_the_same(name: str) -> None:
    assert calls_of(parse(name, wrap(name, '{"name": "nope", "arguments": {"a": 1}}'))) == [("nope", {"a": 1})]


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


@pytest.mark.parametrize("name", JSON_FORMATS)
@pytest.mark.parametrize("value", NO_CALLS)
def test_b20_what_cannot_be_read_as_a_call_is_said_unchanged(name: str, value: str) -> None:
    text = wrap(name, value)
    for pieces in cuts(text):
        assert merged(parse(name, *pieces)) == ([Text(text)], {})


@pytest.mark.parametrize("name", JSON_FORMATS)
def test_b20_later_calls_live_on_after_text_that_looked_like_one(name: str) -> None:
    events = parse(name, wrap(name, '{"nam": oops') + "\n" + wrap(name, '{"name": "search", "arguments": {}}'))
    assert calls_of(events) == [("search", {})]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hermes", "%(good)s<tool_call>\n%(bad)s\n</tool_call>%(good)s"),
        ("hermes", "%(good)s<tool_call>\n%(bad)s\n%(good)s"),
        ("json", "%(good)s\n%(bad)s\n%(good)s"),
        ("json", "```json\n%(good)s\n%(bad)s\n%(good)s\n```"),
        ("json", "```json\n%(good)s\n```\n```json\n%(bad)s\n```\n```json\n%(good)s\n```"),
    ],
)
def test_b21_one_malformed_call_leaves_its_siblings_alone(name: str, text: str) -> None:
    good = '{"name": "search", "arguments": {"n": 1}}'
    good = good if name == "json" else wrap(name, good)
    bad = '{"name": "search", "arguments": {"n": oops, "text": "</tool_cal>"}}'
    written = text % {"good": good, "bad": bad}
    for pieces in cuts(written):
        first, second, third = calls_of(parse(name, *pieces))
        assert first == third == ("search", {"n": 1})
        assert second == ("search", "the call is not JSON: a value was expected")
        assert text_of(parse(name, *pieces)) == ""


def test_b21_arguments_of_the_wrong_kind_spoil_only_their_call() -> None:
    bad = '{"name": "search", "arguments": [{"name": "x"}, "</tool_call>"], "id": 1}'
    text = wrap("hermes", bad) + wrap("hermes", '{"name": "search"}')
    assert calls_of(parse("hermes", text)) == [("search", "the arguments are not an object"), ("search", {})]


def test_the_arguments_text_is_what_the_model_wrote() -> None:
    events = parse("hermes", HERMES_CALL)
    assert "".join(event.text for event in events if isinstance(event, ArgumentsDelta)) == '{"query": "tea", "n": 2}'
