"""Functions that the client runs: told to the model beside tools, read as calls of tools are, and handed over."""

import json

import pytest

from tests.unit.tool_service.completions import Log, end, written
from tool_service.execution import events as ev
from tool_service.execution.host import FormatMismatchError, Opened, Start, ToolHost, by_name
from tool_service.execution.runner import Limits, Mode
from tool_service.interface import Arg, tool
from tool_service.interface.client_function import client_function
from tool_service.interface.schema import InvalidToolError

WEATHER = client_function(
    "weather",
    "Say what the weather is like.",
    {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]},
)


@tool
async def echo(text: Arg[str]) -> str:
    """Repeat a text."""
    return await text


def opened(log: Log, mode: Mode = Mode.PARTIAL, format_: str = "hermes", **start: object) -> Opened:
    host = ToolHost(by_name([echo]))
    return host.open(Start(format_, ("echo",), mode, Limits(), functions=(WEATHER,), **start), log)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", Mode)
async def test_a_call_is_handed_over_whole_and_tools_beside_it_run(mode: Mode) -> None:
    log = Log()
    runner = opened(log, mode).runner
    for character in written("weather", city="Kyiv", days=2) + written("echo", text="hi"):
        runner.text(character)
    await end(runner)
    outcomes = {finished.call_id: finished.outcome for finished in log.of(ev.CallFinished)}
    assert outcomes == {"call_1": ev.HandedOver(), "call_2": "hi"}
    assert json.loads(log.of(ev.CallFinished)[0].arguments_json or "{}") in (
        {"city": "Kyiv", "days": 2},
        {"text": "hi"},
    )
    assert [started.call_id for started in log.of(ev.CallStarted)] == ["call_2"]
    assert log.events[-1] == ev.TurnFinished(2)


async def test_it_is_handed_over_when_it_is_sealed_and_its_arguments_are_the_clients_to_judge() -> None:
    log = Log()
    runner = opened(log).runner
    runner.text(written("weather", place=["anywhere"]))
    finished = await log.until(lambda event: isinstance(event, ev.CallFinished))
    assert isinstance(finished, ev.CallFinished)
    assert (finished.outcome, json.loads(finished.arguments_json)) == (ev.HandedOver(), {"place": ["anywhere"]})
    assert not log.of(ev.TurnVetoed)
    await end(runner)


@pytest.mark.parametrize(
    ("text", "reason", "code"), [('{"name": "weather", "arguments": {"city": "Ky', "length", "INCOMPLETE")]
)
async def test_one_that_is_cut_off_is_not_handed_over(text: str, reason: str, code: str) -> None:
    log = Log()
    runner = opened(log).runner
    runner.text(f"<tool_call>{text}")
    await end(runner, reason)
    assert log.failure().code == code


async def test_the_model_is_told_of_it_and_a_required_call_may_be_one() -> None:
    completion = opened(Log(), required_tool="weather")
    assert [tool.name for tool in completion.tools] == ["echo", "weather"]
    assert "weather(city: string, days: integer, optional): Say what the weather is like." in completion.instructions
    assert "weather" in completion.grammar and "echo" not in completion.grammar


@pytest.mark.parametrize("format_", ["hermes", "mistral", "qwen3_coder", "pythonic"])
async def test_calls_of_earlier_turns_are_written_so_that_they_are_read_as_the_same(format_: str) -> None:
    calls = (("weather", {"city": "Kyiv"}), ("echo", {"text": 'a "b"\n'}))
    log = Log()
    completion = opened(log, format_=format_, said=(calls[:1], calls[1:]))
    assert len(completion.said) == 2
    for text in completion.said:
        completion.runner.text(text)
        await end(completion.runner)
    assert [event.name for event in log.of(ev.CallOpened)] == ["weather", "echo"]
    assert [json.loads(event.arguments_json) for event in log.of(ev.CallFinished)] == [calls[0][1], calls[1][1]]


async def test_a_format_that_writes_calls_of_one_tool_has_no_functions() -> None:
    with pytest.raises(FormatMismatchError):
        opened(Log(), format_="code_block")


@pytest.mark.parametrize(
    ("name", "schema"), [("no name", {}), ("f", {"type": "array"}), ("f", {"properties": {"a": {"type": "bogus"}}})]
)
def test_what_cannot_be_one_is_refused(name: str, schema: dict[str, object]) -> None:
    with pytest.raises(InvalidToolError):
        client_function(name, "", schema)


async def test_what_stands_beside_the_calls_is_said_where_it_is_wanted() -> None:
    log, silent = Log(), Log()
    text = f"<think>Hm.</think>Let me look.\n{written('weather', city='Kyiv')}\nSoon."
    for runner in (opened(log, stream_content=True).runner, opened(silent).runner):
        for character in text:
            runner.text(character)
        await end(runner)
    said = log.of(ev.ContentDelta)
    assert "".join(delta.text for delta in said if delta.reasoning) == "Hm."
    assert "".join(delta.text for delta in said if not delta.reasoning).split() == ["Let", "me", "look.", "Soon."]
    assert not silent.of(ev.ContentDelta)


@pytest.mark.parametrize("format_", ["hermes", "mistral", "qwen3_coder", "pythonic", "json"])
@pytest.mark.parametrize("size", [1, 10_000])
async def test_a_turn_that_may_have_one_call_is_filled_by_it(format_: str, size: int) -> None:
    log, kyiv = Log(), {"city": "Kyiv"}
    said = (("weather", kyiv), ("echo", {"text": "hi"}))
    completion = opened(log, format_=format_, single_call=True, stream_content=True, said=(said,))
    [text] = completion.said
    for _ in range(2):  # each turn may have one
        log.events.clear()
        for place in range(0, len(text), size):
            completion.runner.text(text[place : place + size])
        await end(completion.runner)
        assert [event.name for event in log.of(ev.CallOpened)] == ["weather"]
        [finished] = log.of(ev.CallFinished)
        assert isinstance(finished.outcome, ev.HandedOver) and json.loads(finished.arguments_json) == kyiv
        assert len(log.of(ev.TurnFilled)) <= 1 and "".join(d.text for d in log.of(ev.ContentDelta)).strip() == ""
        assert log.of(ev.TurnFinished)[0].call_count == 1


async def test_a_turn_is_filled_when_its_call_is_written_well_or_badly() -> None:
    for text, filled in (
        ("Let me look.", 0),
        ('<tool_call>\n{"name": "weather", "arguments": {"city": "Kyiv"}}\n', 1),
        ('<tool_call>\n{"name": "weather", "arguments": {"city": nonsense}}\n</tool_call>', 1),
        ('<tool_call>\n{"name": "nowhere", "arguments": {}}\n</tool_call>', 0),
        (written("echo", text="hi"), 0),  # a tool of ours: the next turn goes on behind it
    ):
        log = Log()
        runner = opened(log, single_call=True).runner
        runner.text(text)
        assert len(log.of(ev.TurnFilled)) == filled, text
        await end(runner)
        assert len(log.of(ev.TurnFilled)) == filled


async def test_behind_a_call_of_a_hosted_tool_no_other_is_read_and_the_text_goes_on() -> None:
    log = Log()
    runner = opened(log, single_call=True, stream_content=True).runner
    runner.text(written("echo", text="hi") + written("weather", city="Kyiv") + "\nSoon.")
    await end(runner)
    assert [event.name for event in log.of(ev.CallOpened)] == ["echo"] and log.of(ev.TurnFinished) == [
        ev.TurnFinished(1)
    ]
    assert "".join(delta.text for delta in log.of(ev.ContentDelta)).strip() == "Soon."
