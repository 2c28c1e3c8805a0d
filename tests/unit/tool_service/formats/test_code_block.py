import pytest

from tests.unit.tool_service.formats.turns import calls_of, cuts, merged, parse, text_of
from tool_service.formats.code_block import CODE_BLOCK
from tool_service.formats.events import (
    ArgumentOpened,
    ArgumentSealed,
    CallMalformed,
    CallOpened,
    CallSealed,
    Event,
    StringDelta,
    Text,
)
from tool_service.formats.format import EndReason, TurnStop
from tool_service.formats.scanning.turn import MAX_CALLS, MAX_CHARACTERS


def said(text: str, reason: EndReason = "stop") -> list[Event]:
    events = merged(parse("code_block", text, reason=reason))
    for pieces in cuts(text):
        assert merged(parse("code_block", *pieces, reason=reason)) == events
    return events


def code_in(text: str) -> list[str]:
    return [arguments["code"] for _, arguments in calls_of(said(text))]


def test_a_fence_is_a_call() -> None:
    assert said("Look:\n```python\nprint(1)\n```\nbye") == [
        Text("Look:\n"),
        CallOpened(0, "python"),
        ArgumentOpened(0, "code"),
        StringDelta(0, "code", "print(1)\n"),
        ArgumentSealed(0, "code", "print(1)\n"),
        CallSealed(0, {"code": "print(1)\n"}),
        Text("bye"),
    ]


def test_the_call_opens_with_its_first_line_and_the_code_is_streamed() -> None:
    parser = CODE_BLOCK.parser({})
    assert parser.feed("```python") == []
    assert parser.feed("\n") == [CallOpened(0, "python"), ArgumentOpened(0, "code")]
    assert parser.feed("x =") == [StringDelta(0, "code", "x =")]
    assert parser.feed(" 1\n") == [StringDelta(0, "code", " 1\n")]
    assert parser.feed("``") == []
    assert parser.feed("x") == [StringDelta(0, "code", "``x")]


@pytest.mark.parametrize("fence", ["```python", "```py", "```Python", "```PY  ", "```python\t\r"])
def test_spellings_of_the_opening_fence(fence: str) -> None:
    assert code_in(f"{fence}\nx\n```\n") == ["x\n"]


@pytest.mark.parametrize("fence", ["``` \n", "```\r\n", "```\t", "```", ""])
def test_spellings_of_the_closing_fence(fence: str) -> None:
    assert code_in(f"```python\nx\n{fence}") == ["x\n"]


@pytest.mark.parametrize("line", [" ```", "```x", "````", "``", "```python", "x = '```'", "```" + " " * 65])
def test_lines_that_do_not_close_the_fence_are_code(line: str) -> None:
    assert code_in(f"```python\n{line}\n```") == [f"{line}\n"]


@pytest.mark.parametrize(
    "text",
    [
        "```json\n```python\nx\n```\n",
        "```\n{}\n```\n",
        " ```python\nx\n",
        "a ```python\nx\n",
        "````python\nx\n",
        "```python3\nx\n",
        "```python x\nx\n",
        "```python",
    ],
)
def test_other_fences_are_text(text: str) -> None:
    assert said(text) == [Text(text)]


def test_a_fence_after_another_one_is_a_call() -> None:
    events = said("```json\n{}\n```\n```python\nx\n```\n```python\ny\n```")
    assert calls_of(events) == [("python", {"code": "x\n"}), ("python", {"code": "y\n"})]
    assert text_of(events) == "```json\n{}\n```\n"


@pytest.mark.parametrize("code", ["", "x", "x\n", "x\n\n", "x\n``", "x\n```y"])
def test_a_stop_closes_the_fence(code: str) -> None:
    assert code_in(f"```python\n{code}") == [code]


@pytest.mark.parametrize("reason", ["length", "veto"])
def test_a_closing_line_does_so_without_its_newline(reason: EndReason) -> None:
    assert said("```python\nx\n```", reason)[-1] == CallSealed(0, {"code": "x\n"})


@pytest.mark.parametrize("reason", ["length", "veto"])
@pytest.mark.parametrize("code", ["", "x", "x\n", "x\n``"])
def test_no_other_end_does(code: str, reason: EndReason) -> None:
    events = said(f"```python\n{code}", reason)
    assert events[-1] == CallMalformed(0, "the text ended inside the call", incomplete=True)
    assert [event.text for event in events if isinstance(event, StringDelta)] == ([code] if code else [])


def test_calls_beyond_the_limit_are_opened_and_malformed() -> None:
    events = parse("code_block", "```py\nx\n```\n" * (MAX_CALLS + 1) + "bye")
    assert calls_of(events)[MAX_CALLS - 1 :] == [
        ("python", {"code": "x\n"}),
        ("python", f"more than {MAX_CALLS} calls in one turn"),
    ]
    assert text_of(events) == "bye"


@pytest.mark.parametrize("step", [999, MAX_CHARACTERS * 2])
def test_code_that_is_too_long_is_malformed_and_skipped(step: int) -> None:
    text = "```python\n" + "x = 1\n" * (MAX_CHARACTERS // 6 + 10) + "```\nbye"
    events = parse("code_block", *(text[at : at + step] for at in range(0, len(text), step)))
    assert calls_of(events) == [("python", f"arguments of more than {MAX_CHARACTERS} characters")]
    assert sum(len(event.text) for event in events if isinstance(event, StringDelta)) == MAX_CHARACTERS - len("code")
    assert text_of(events) == "bye"


def test_the_decoder_is_told_to_stop_at_the_closing_fence() -> None:
    assert TurnStop(after="```python", text="\n```") in CODE_BLOCK.stops
    assert TurnStop(after="```py", text="\n```") in CODE_BLOCK.stops
    assert CODE_BLOCK.only_tool == "python"
    assert not CODE_BLOCK.template_native
