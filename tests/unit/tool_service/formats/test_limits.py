"""What breaks a limit makes its call malformed; the rest of the turn lives."""

import sys
from typing import Any

import pytest

from tests.unit.tool_service.formats.spellings import BLOCKS, SPELLINGS
from tests.unit.tool_service.formats.turns import calls_of, merged, parse
from tool_service.formats import FORMATS
from tool_service.formats.events import ArgumentSealed, CallMalformed, Text
from tool_service.formats.scanning.json_lexer import MAX_DEPTH, MAX_DIGITS
from tool_service.formats.scanning.turn import MAX_CALLS, MAX_CHARACTERS

TYPED = [name for name in FORMATS if name not in BLOCKS]
JSON_ARGUMENTS = [name for name in TYPED if SPELLINGS[name].seals == "}" and name != "functiongemma"]
WITHOUT_TYPES = [name for name in TYPED if not SPELLINGS[name].types]

GOOD: dict[str, Any] = {"query": "a", "city": "b"}
FEW_CHARACTERS = 10_000  # a limit that is reached quickly
each_typed = pytest.mark.parametrize("name", TYPED)


def each_up_to_a_limit(*names: str, always: str = "") -> pytest.MarkDecorator:
    """Formats with a limit of few characters and with the real one: one of them always, all when there is time."""
    few = [(name, FEW_CHARACTERS) for name in names]
    many = [pytest.param(name, MAX_CHARACTERS, marks=[] if name == always else pytest.mark.slow) for name in names]
    return pytest.mark.parametrize(("name", "limit"), [*few, *many], indirect=["limit"])


@pytest.fixture
def limit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The most characters that arguments may have, in every module that counts them."""
    modules = [module for name, module in sys.modules.items() if name.startswith("tool_service.formats.")]
    for name, factor in (("MAX_CHARACTERS", 1), ("MAX_HELD", 8)):
        counting = [module for module in modules if hasattr(module, name)]
        assert counting
        for module in counting:
            assert getattr(module, name) == factor * MAX_CHARACTERS
            monkeypatch.setattr(module, name, factor * request.param)
    return int(request.param)


def around(name: str, bad: dict[str, Any], old: str = "", new: str = "") -> str:
    """A turn with a bad call between two good ones; at last `old` is written as `new`."""
    text = SPELLINGS[name].write([("search", GOOD), ("get_weather", bad), ("search", GOOD)])
    assert old in text
    return text.replace(old, new) if old else text


def failure_of(name: str, text: str) -> str:
    """Why the call in the middle is malformed."""
    events = parse(name, text)
    first, second, third = calls_of(events)
    assert first == third == ("search", GOOD)
    assert second[0] == "get_weather"
    step = 7 if len(text) < 10_000 else 4_099
    assert merged(parse(name, *(text[at : at + step] for at in range(0, len(text), step)))) == merged(events)
    assert not any(event.incomplete for event in events if isinstance(event, CallMalformed))
    assert isinstance(second[1], str)
    return second[1]


@each_up_to_a_limit(*TYPED, always="hermes")
def test_arguments_have_a_million_characters_at_most(name: str, limit: int) -> None:
    longest = "x" * (limit - len("query"))
    text = SPELLINGS[name].write([("search", {"query": longest})])
    assert calls_of(parse(name, text)) == [("search", {"query": longest})]
    for bad in ({"query": longest + "x"}, {"query": longest, "city": ""}, {"tags": ["x" * limit]}):
        assert failure_of(name, around(name, bad)) == f"arguments of more than {MAX_CHARACTERS} characters"


@each_up_to_a_limit("hermes", "kimi_k2", "pythonic", "glm45", "functiongemma")
def test_many_small_values_are_too_many_characters_as_well(name: str, limit: int) -> None:
    bad = {"tags": ["a word", {"b": 1}] * (limit // 8)}
    assert failure_of(name, around(name, bad)) == f"arguments of more than {MAX_CHARACTERS} characters"


def nested(depth: int) -> Any:
    """A list with so many levels."""
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


@each_typed
def test_arguments_have_128_levels_at_most(name: str) -> None:
    deepest = {"tags": nested(MAX_DEPTH - 1)}  # the arguments are the first level
    assert calls_of(parse(name, SPELLINGS[name].write([("search", deepest)]))) == [("search", deepest)]
    assert "nested deeper than 128" in failure_of(name, around(name, {"tags": nested(MAX_DEPTH)}))


@pytest.mark.parametrize("name", FORMATS)
def test_a_turn_has_64_calls_at_most(name: str) -> None:
    given = {BLOCKS[name][1]: "$1\n"} if name in BLOCKS else GOOD
    text = SPELLINGS[name].write([(BLOCKS[name][0] if name in BLOCKS else "search", given)] * (MAX_CALLS + 2))
    calls = [arguments for _, arguments in calls_of(parse(name, text))]
    assert calls == [given] * MAX_CALLS + [f"more than {MAX_CALLS} calls in one turn"] * 2


UNUSABLE = [
    ("NaN", "NaN is no JSON value"),
    ("Infinity", "Infinity is no JSON value"),
    ("-Infinity", "-Infinity is no JSON value"),
    ("1e999", "a number out of range"),
    ("1" * (MAX_DIGITS + 1), f"more than {MAX_DIGITS} digits"),
    ("0." + "1" * (MAX_DIGITS + 1), f"more than {MAX_DIGITS} digits"),
    ('{"a": 1, "a": 2}', "twice"),
    ('[{"a": 1, "\\u0061": 2}]', "twice"),
    ('["\\ud800"]', "lone surrogate"),
    ('["\\udc00\\ud800"]', "lone surrogate"),
]


@pytest.mark.parametrize("name", JSON_ARGUMENTS + WITHOUT_TYPES)
@pytest.mark.parametrize(("written", "reason"), UNUSABLE)
def test_what_json_has_no_value_for_is_malformed(name: str, written: str, reason: str) -> None:
    assert reason in failure_of(name, around(name, {"place": {"HERE": 1}}, '{"HERE": 1}', written))


@pytest.mark.parametrize("name", ["pythonic", "olmo3", "lfm2"])
@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("nan", "a name or an expression"),
        ("1e999", "a number out of range"),
        ("1" * (MAX_DIGITS + 1), f"more than {MAX_DIGITS} digits"),
        ("0x" + "f" * (MAX_DIGITS + 1), f"more than {MAX_DIGITS} digits"),
        ("{'a': 1, 'a': 2}", "twice"),
        ("'\\ud800'", "lone surrogate"),
        ("'\\udc00\\ud800'", "lone surrogate"),
    ],
)
def test_what_python_has_no_json_value_for_is_malformed(name: str, written: str, reason: str) -> None:
    assert reason in failure_of(name, around(name, {"count": "HERE"}, "'HERE'", written))


@pytest.mark.parametrize("name", FORMATS)
def test_a_raw_lone_surrogate_is_malformed(name: str) -> None:
    if name in BLOCKS:
        ((_, reason),) = calls_of(parse(name, SPELLINGS[name].write([("", {"": "$\ud800\n"})])))
        assert "surrogate" in reason
        return
    assert "surrogate" in failure_of(name, around(name, {"query": "a\ud800"}))


@each_up_to_a_limit(*FORMATS, always="hermes")
def test_nothing_is_sealed_of_an_argument_that_is_too_long(name: str, limit: int) -> None:
    argument = BLOCKS[name][1] if name in BLOCKS else "query"
    tool = BLOCKS[name][0] if name in BLOCKS else "search"
    events = parse(name, SPELLINGS[name].write([(tool, {argument: "$" + "x" * limit + "\n"})]))
    assert not any(isinstance(event, ArgumentSealed) for event in events)


@each_up_to_a_limit(*JSON_ARGUMENTS, *WITHOUT_TYPES, "pythonic", always="hermes")
@pytest.mark.parametrize("rest", ["x", "x\\n", "\\n\\n"])
def test_a_key_that_is_too_long_is_malformed(name: str, limit: int, rest: str) -> None:
    bad = around(name, {"place": {"KEY": 1}}, "KEY", "x" * limit + rest)
    assert f"of more than {MAX_CHARACTERS} characters" in failure_of(name, bad)


def test_a_name_that_is_too_long_is_no_name() -> None:
    text = '<tool_call>{"name": "%s\\nsearch", "arguments": {}}' % ("x" * MAX_CHARACTERS)
    for step in (1 << 21, 999):
        events = parse("hermes", *(text[at : at + step] for at in range(0, len(text), step)))
        assert merged(events) == [Text(text)]
