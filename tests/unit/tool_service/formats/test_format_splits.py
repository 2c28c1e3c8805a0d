"""Whatever the cut, a turn says the same: B1, B2 and B10, over generated turns and over rubble of them."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tool_service.formats.turns import (
    arguments,
    call_texts,
    calls_of,
    cuts,
    merged,
    parse,
    pieces_at,
    text_of,
    texts,
)
from tool_service.formats import FORMATS
from tool_service.formats.format import EndReason

reasons = st.sampled_from(["stop", "length", "veto"])
between = st.sampled_from(["", " ", "\n", "\n\n"])
names = st.sampled_from(["search", "get_weather"])
prose = st.sampled_from(
    ["", "Hello.\n", "I use {braces} and [brackets](x).\n", "a <tool_call> b\n", "  \n\n", "`x` and ``` y\n", "😀\n"]
)
code = st.lists(
    st.sampled_from(["print(1)\n", "s = '''\n", " ```\n", "``\n", "x = '```'\n", "````\n", "\n", "```x\n", "# 😀\n"])
).map("".join)
fragments = {
    "hermes": [
        "<tool_call>",
        "</tool_call>",
        "<tool_",
        "</",
        "{",
        "}",
        '"name": "search"',
        '"arguments": {"a": "',
        '"',
        ", ",
    ],
    "json": [
        "```json\n",
        "```",
        "\n",
        "[",
        "{",
        "}",
        "]",
        '"name": "search"',
        '"arguments": {"a": "',
        '"',
        ", ",
        " ",
        "x",
    ],
    "code_block": ["```python", "```py\n", "```", "```json\n", "\n", " ", "``", "x = 1", "`", "PYTHON"],
}

Turn = tuple[str, list[tuple[str, Any]], str]  # the text, its calls, what belongs to no call


@st.composite
def hermes_turns(draw: st.DrawFn) -> Turn:
    written = plain = draw(prose)
    calls = draw(st.lists(st.tuples(names, arguments), min_size=1, max_size=2))
    for name, given_arguments in calls:
        call = draw(call_texts(name, given_arguments))
        written += f"<tool_call>{draw(between)}{call}{draw(between)}</tool_call>{draw(between)}"
    after = draw(st.sampled_from(["", "Done.", "</tool_call>"]))
    gap = written[len(written.rstrip()) :]
    return written + after, calls, plain + (gap + after if after else "")


@st.composite
def json_turns(draw: st.DrawFn) -> Turn:
    before = draw(prose)
    calls = draw(st.lists(st.tuples(names, arguments), min_size=1, max_size=2))
    spelled = [draw(call_texts(name, given_arguments)) for name, given_arguments in calls]
    joined = draw(st.sampled_from(["[%s]", "\n"]))
    value = joined % ", ".join(spelled) if "%" in joined else joined.join(spelled)
    fence = draw(st.sampled_from(["", "```json\n", "```\n", "```JSON \n"]))
    after = draw(st.sampled_from(["", "Done."]))
    closing = draw(between) + "```\n" if fence else "\n"
    return before + fence + value + closing + after, calls, before + (after if fence or not after else "\n" + after)


@st.composite
def code_turns(draw: st.DrawFn) -> Turn:
    before, after = draw(st.sampled_from(["", "Hello ```python\n", "```json\n{}\n```\n"])), draw(prose)
    blocks = draw(st.lists(code, min_size=1, max_size=2))
    written = "".join(f"```{draw(st.sampled_from(['python', 'py', 'Python ']))}\n{each}```  \n" for each in blocks)
    return before + written + after, [("python", {"code": each}) for each in blocks], before + after


turns = {"hermes": hermes_turns(), "json": json_turns(), "code_block": code_turns()}


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_turn_is_its_calls_and_its_text(name: str, data: st.DataObject) -> None:
    written, calls, plain = data.draw(turns[name])
    events = parse(name, written)
    assert calls_of(events) == calls
    assert text_of(events) == plain


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_turn_says_the_same_in_single_characters_and_any_two_pieces(name: str, data: st.DataObject) -> None:
    written, _, _ = data.draw(turns[name])
    whole = merged(parse(name, written))
    for pieces in cuts(written):
        assert merged(parse(name, *pieces)) == whole


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data(), reason=reasons, places=st.lists(st.integers(0, 10_000), max_size=10))
@settings(max_examples=100, deadline=None)
def test_a_turn_that_ends_anywhere_says_the_same_in_random_pieces(
    name: str, data: st.DataObject, reason: EndReason, places: list[int]
) -> None:
    written, calls, _ = data.draw(turns[name])
    written = written[: data.draw(st.integers(0, len(written)))]
    whole = parse(name, written, reason=reason)
    assert merged(parse(name, *pieces_at(written, places), reason=reason)) == merged(whole)
    ended = calls_of(whole)
    assert [call for call in ended[:-1] if call not in calls] == []


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data(), reason=reasons)
@settings(max_examples=150, deadline=None)
def test_rubble_says_the_same_in_single_characters_and_any_two_pieces(
    name: str, data: st.DataObject, reason: EndReason
) -> None:
    rubble = "".join(data.draw(st.lists(st.sampled_from(fragments[name]), max_size=12)))
    whole = parse(name, rubble, reason=reason)
    calls_of(whole)
    for pieces in cuts(rubble):
        assert merged(parse(name, *pieces, reason=reason)) == merged(whole)


@pytest.mark.parametrize("name", FORMATS)
@given(text=texts)
@settings(max_examples=100, deadline=None)
def test_text_without_a_call_is_said_unchanged(name: str, text: str) -> None:
    events = parse(name, *f"x {text}")
    if not calls_of(events):
        assert text_of(events) == f"x {text}"
