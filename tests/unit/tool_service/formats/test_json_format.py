import pytest

from tests.unit.tool_service.formats.turns import calls_of, cuts, merged, parse, text_of
from tool_service.formats.events import CallOpened, CallSealed, Event, Text
from tool_service.formats.json_format import JSON
from tool_service.formats.scanning.json_call import MAX_HELD
from tool_service.formats.scanning.markers import MAX_BLANKS

CALL = '{"name": "search", "arguments": {"q": "tea"}}'
SEARCH = ("search", {"q": "tea"})
UNKNOWN = ("other", {"q": "tea"})


def said(text: str) -> list[Event]:
    events = merged(parse("json", text))
    for pieces in cuts(text):
        assert merged(parse("json", *pieces)) == events
    return events


@pytest.mark.parametrize(
    ("text", "calls", "plain"),
    [
        (CALL, [SEARCH], ""),
        (f"  \t{CALL}\n", [SEARCH], ""),
        (f"Sure:\n{CALL}\nDone.", [SEARCH], "Sure:\n\nDone."),
        (f"{CALL}\n\n{CALL}\n", [SEARCH, SEARCH], ""),
        (f"[{CALL}, {CALL}]", [SEARCH, SEARCH], ""),
        (f"[\n  {CALL},\n  {CALL}\n]\nbye", [SEARCH, SEARCH], "\nbye"),
        (f"Sure:\n```json\n{CALL}\n```\nDone.", [SEARCH], "Sure:\nDone."),
        (f"```\n{CALL}\n```", [SEARCH], ""),
        (f"```JSON \r\n\n  {CALL}```\n", [SEARCH], ""),
        (f"```json\n[{CALL}]\n```\n{CALL}", [SEARCH, SEARCH], ""),
        (f"```json\n{CALL}\n{CALL}\n```\n", [SEARCH, SEARCH], ""),
        (f"```json\n{CALL}\n```\n\n```json\n{CALL}\n```", [SEARCH, SEARCH], ""),
        (f"```json\n{CALL}", [SEARCH], ""),
        (f"{CALL}\n```python\nx\n```\n", [SEARCH], "\n```python\nx\n```\n"),
        ('{"name": "other", "arguments": {"q": "tea"}}', [UNKNOWN], ""),
        ('{"parameters": {"q": "tea"}, "name": "other"}', [UNKNOWN], ""),
        ('{"id": 7, "type": "function", "name": "search", "extra": 1}', [("search", {})], ""),
    ],
)
def test_finds_calls(text: str, calls: list[tuple[str, dict[str, str]]], plain: str) -> None:
    events = said(text)
    assert calls_of(events) == calls
    assert text_of(events) == plain


@pytest.mark.parametrize(
    "text",
    [
        f"Write {CALL}",
        f"- {CALL}",
        f"`{CALL}`",
        '{"name": "other"}\n{"name": "other", "age": 3}\n{"age": 3, "name": "search", "arguments": {}}',
        "{braces} and\n[brackets](x)\n[]\n{}\n[1, 2]\n[[{}]]",
        '{\n  "tools": [\n    {"name": "search", "arguments": {}}\n  ]\n}\n',
        '[1,\n{"name": "search", "arguments": {}}]',
        f"```json\n{{\n  'x': 1\n}}\n{CALL}\n```\n",
        f"```json\nx\n{CALL}\n```\n",
        f"```yaml\n{CALL}\n```\n",
        "```\n```\n```json\n```\n",
        f"```not\na fence` {CALL}",
        " " * 65 + CALL,
    ],
)
def test_what_is_no_call_is_text(text: str) -> None:
    assert said(text) == [Text(text)]


def test_a_known_name_opens_the_call_at_once_and_an_unknown_one_with_its_arguments() -> None:
    parser = JSON.parser({"search": {}})
    assert parser.feed('{"name": "search"') == [CallOpened(0, "search")]
    assert parser.feed("}") == [CallSealed(0, {})]
    assert parser.feed('\n{"name": "other"') == []
    assert parser.feed(', "arguments"') == [CallOpened(1, "other")]


def test_an_object_that_is_no_call_is_released_as_soon_as_that_is_known() -> None:
    parser = JSON.parser({"search": {}})
    assert parser.feed('{"cit') == []
    assert parser.feed('y"') == [Text('{"city"')]
    assert parser.feed(': "Par') == [Text(': "Par')]


def test_objects_among_calls_that_are_none_are_text() -> None:
    events = said(f'[{CALL}, {{"x": 1}}, null, [{CALL}], {CALL}]')
    assert calls_of(events) == [SEARCH, SEARCH]
    assert text_of(events) == '{"x": 1}'


def test_a_broken_bare_call_is_skipped_with_the_lines_that_belong_to_it() -> None:
    broken = '{"name": "search",\n  "arguments": {"q": tea,\n  "r": [\n    {"name": "search"}\n  ]}\n}\n'
    events = said(f"{broken}Then.\n{CALL}")
    assert calls_of(events) == [("search", "the call is not JSON: a value was expected"), SEARCH]
    assert text_of(events) == "Then.\n"


def test_a_broken_fenced_call_is_skipped_with_its_fence() -> None:
    events = said(f'```json\n{{"name": "search", "arguments": {{tea}}\n```\nThen.\n{CALL}')
    assert calls_of(events) == [("search", "the call is not JSON: a key was expected"), SEARCH]
    assert text_of(events) == "Then.\n"


def test_an_array_that_breaks_between_calls_keeps_them() -> None:
    events = said(f"[{CALL} {CALL}]")
    assert calls_of(events) == [SEARCH]
    assert text_of(events) == f"{CALL}]"


@pytest.mark.parametrize("count", [MAX_BLANKS - 1, MAX_BLANKS, MAX_BLANKS + 1, 2 * MAX_BLANKS])
def test_white_space_behind_a_call_is_dropped_up_to_the_bound(count: int) -> None:
    for blanks in ("\n" * count, "\n" + " " * (count - 1), " " * (count - 1) + "\n"):
        events = said(CALL + blanks + CALL)
        assert (text_of(events) == "") == (len(blanks) <= MAX_BLANKS)
        assert text_of(said(CALL + blanks)) == ("" if len(blanks) <= MAX_BLANKS else blanks)


def test_what_is_held_back_is_bounded() -> None:
    parser = JSON.parser({})
    assert len(text_of(parser.feed('{"arguments": "' + "x" * MAX_HELD))) >= MAX_HELD
    assert len(text_of(JSON.parser({"search": {}}).feed(CALL + "\n" * 1000))) > 900


def test_chat_templates_do_not_know_the_format() -> None:
    assert not JSON.template_native
