import json

import pytest

from tests.unit.tool_service.formats.turns import calls_of, cuts, merged, parse, text_of
from tool_service.formats.events import ArgumentSealed, CallMalformed, CallOpened, CallSealed, Event, Text
from tool_service.formats.hermes import HERMES, HermesParser
from tool_service.formats.scanning.json_call import MAX_HELD
from tool_service.formats.scanning.markers import MAX_BLANKS
from tool_service.formats.scanning.turn import MAX_CALLS, MAX_CHARACTERS

CALL = '{"name": "get_weather", "arguments": {"city": "SF"}}'


def said(text: str) -> list[Event]:
    events = merged(parse("hermes", text))
    for pieces in cuts(text):
        assert merged(parse("hermes", *pieces)) == events
    return events


@pytest.mark.parametrize(
    "text",
    [
        f"<tool_call>\n{CALL}\n</tool_call>",
        f"<tool_call>{CALL}</tool_call>",
        f"<tool_call> \r\n\t{CALL}  \n\n</tool_call>\n\n",
        f"<tool_call>\n{CALL}\n",
        f"<tool_call>\n{CALL}",
    ],
)
def test_white_space_around_a_call_and_its_closer_do_not_matter(text: str) -> None:
    events = said(text)
    assert calls_of(events) == [("get_weather", {"city": "SF"})]
    assert text_of(events) == ""


def test_text_around_calls_is_said_in_its_place() -> None:
    events = said(f"Before. <tool_call>{CALL}</tool_call>\nbetween <tool_call>{CALL}</tool_call> after </tool_call>")
    assert [event.text for event in events if isinstance(event, Text)] == [
        "Before. ",
        "\nbetween ",
        " after </tool_call>",
    ]


def test_a_call_is_sealed_by_its_last_bracket() -> None:
    parser = HermesParser()
    parser.feed(f"<tool_call>{CALL[:-1]}")
    assert parser.feed("}") == [CallSealed(0, {"city": "SF"})]


def test_each_argument_is_said_when_it_is_sealed() -> None:
    parser = HermesParser()
    assert parser.feed('<tool_call>{"name": "f"') == [CallOpened(0, "f")]
    assert ArgumentSealed(0, "a", 1) not in parser.feed(', "arguments": {"a": 1')
    assert ArgumentSealed(0, "a", 1) in parser.feed(', "b": [1, {"c": 2}')
    assert ArgumentSealed(0, "b", [1, {"c": 2}]) in parser.feed("]")


def test_garbage_between_a_call_and_its_closer_is_text_and_the_closer_is_not() -> None:
    events = said(f"<tool_call>\n{CALL}}}\n</tool_call>\n<tool_call>{CALL}</tool_call>")
    assert len(calls_of(events)) == 2
    assert text_of(events) == "}\n"


def test_a_malformed_call_is_skipped_up_to_its_closer() -> None:
    events = said(f'<tool_call>{{"name": "f", "arguments": {{x}}}} <tool_call> </tool_call> ok <tool_call>{CALL}')
    assert calls_of(events) == [("f", "the call is not JSON: a key was expected"), ("get_weather", {"city": "SF"})]
    assert text_of(events) == " ok "


def test_a_malformed_call_at_the_end_is_malformed_once() -> None:
    assert said('<tool_call>{"name": "f" oops') == [
        CallOpened(0, "f"),
        CallMalformed(0, "the call is not JSON: a comma or a closing bracket was expected"),
    ]


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        ('"arguments": 5', "the arguments are not an object"),
        ('"arguments": [1]', "the arguments are not an object"),
        ('"arguments": "5 "', "the arguments are not an object"),
        ('"arguments": "[1]"', "the arguments are not an object"),
        ('"arguments": "5"', "the arguments' object is not complete"),
        ('"arguments": "{\\"a\\": 1"', "the arguments' object is not complete"),
        ('"arguments": "{} {}"', "the arguments' object is followed by more text"),
        ('"arguments": "{\\"a\\": }"', "the call is not JSON: a value was expected"),
        ('"arguments": {}, "parameters": {}', "the arguments are given twice"),
        ('"arguments": {"a": 1, "a": 2}', "the call is not JSON: a key appears twice in an object"),
    ],
)
def test_wrong_arguments_are_malformed_in_either_order(rest: str, reason: str) -> None:
    assert calls_of(said(f'<tool_call>{{"name": "f", {rest}}}</tool_call>')) == [("f", reason)]
    assert calls_of(said(f'<tool_call>{{{rest}, "name": "f"}}</tool_call>')) == [("f", reason)]


def test_other_keys_are_read_over() -> None:
    call = '{"id": {"name": "x", "arguments": {"y": 1}}, "name": "f", "arguments": {"a": 1}, "type": ["function"]}'
    assert calls_of(said(f"<tool_call>{call}</tool_call>")) == [("f", {"a": 1})]


def test_calls_beyond_the_limit_are_opened_and_malformed() -> None:
    calls = calls_of(parse("hermes", f"<tool_call>{CALL}</tool_call>" * (MAX_CALLS + 2)))
    assert calls[:MAX_CALLS] == [("get_weather", {"city": "SF"})] * MAX_CALLS
    assert calls[MAX_CALLS:] == [("get_weather", f"more than {MAX_CALLS} calls in one turn")] * 2


@pytest.mark.parametrize("step", [1000, MAX_CHARACTERS * 2])
def test_a_call_that_is_too_long_is_malformed_and_its_sibling_lives(step: int) -> None:
    long = json.dumps({"name": "f", "arguments": {"a": "x" * MAX_CHARACTERS}})
    text = f"<tool_call>{long}</tool_call><tool_call>{CALL}</tool_call>"
    calls = calls_of(parse("hermes", *(text[at : at + step] for at in range(0, len(text), step))))
    assert calls == [
        ("f", f"arguments of more than {MAX_CHARACTERS} characters"),
        ("get_weather", {"city": "SF"}),
    ]


@pytest.mark.parametrize("count", [MAX_BLANKS, MAX_BLANKS + 1])
@pytest.mark.parametrize("opening", ["%s<tool_call>", "<tool_call>%s", "</tool_call>%s<tool_call>"])
def test_white_space_is_syntax_up_to_the_bound(count: int, opening: str) -> None:
    events = said(f"<tool_call>{CALL}{opening % (' ' * count)}{CALL}")
    assert (text_of(events) == "") == (count <= MAX_BLANKS)


def test_what_is_held_back_is_bounded() -> None:
    parser = HermesParser()
    said_text = text_of(parser.feed('<tool_call>{"arguments": "' + "x" * MAX_HELD))
    assert len(said_text) >= MAX_HELD
    assert text_of(parser.feed("<tool_call>" + " " * 100)).endswith(" " * 100)


def test_chat_templates_know_the_format() -> None:
    assert HERMES.template_native
    assert HERMES.only_tool == ""
