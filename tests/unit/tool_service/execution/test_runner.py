"""Calls in the four modes, and every way in which one can end."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator

import pytest

from tests.unit.tool_service.completions import BOUND, Log, end, start, written
from tool_service.execution import events as ev
from tool_service.execution.host import Start, ToolHost, by_name
from tool_service.execution.runner import Limits, Mode
from tool_service.interface import Arg, Call, Effect, Reject, Session, Stream, tool
from tool_service.interface.meter import LEND_SECONDS


@tool
async def echo(text: Arg[str], times: Arg[int] = 1) -> str:  # type: ignore[assignment]
    """Repeat a text."""
    return await text * await times


@tool
def plain(text: str, times: int = 1) -> str:
    """Repeat a text."""
    return text * times


@tool
async def typist(code: Stream[str]) -> AsyncIterator[str]:
    """Repeat each piece."""
    async for piece in code:
        yield piece.upper()


def is_started(event: ev.Event) -> bool:
    return isinstance(event, ev.CallStarted)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("name", ["echo", "plain"])
async def test_every_mode_gives_the_same_results(mode: Mode, name: str) -> None:
    log = Log()
    runner = start(log, echo, plain, mode=mode)
    for character in written(name, text="ab", times=2) + written(name, text="c"):
        runner.text(character)
    await end(runner)
    assert [finished.outcome for finished in log.of(ev.CallFinished)] == ["abab", "c"]
    assert json.loads(log.finished().arguments_json) == {"text": "ab", "times": 2}
    assert log.events[-1] == ev.TurnFinished(2)


PIECES = ('<tool_call>{"name": "echo", "arguments": {"text": "a', "\\u00e9", '", "times": 2', "}}</tool_call>")


async def test_arguments_are_said_as_they_grow_or_as_json_when_they_are_sealed() -> None:
    log = Log()
    runner = start(log, echo, stream_arguments=True)
    for piece in PIECES:
        runner.text(piece)
    await end(runner)
    assert log.of(ev.ArgumentsDelta) == [
        ev.ArgumentsDelta("call_1", "text", text=""),
        ev.ArgumentsDelta("call_1", "text", text="a"),
        ev.ArgumentsDelta("call_1", "text", text="é"),
        ev.ArgumentsDelta("call_1", "times", value_json="2"),
    ]


async def test_arguments_that_nobody_asked_for_are_said_at_the_calls_end_alone() -> None:
    log, asked = Log(), Log()
    for runner in (start(log, echo), start(asked, echo, stream_arguments=True)):
        for piece in PIECES:
            runner.text(piece)
        await end(runner)
    assert json.loads(log.finished().arguments_json) == {"text": "aé", "times": 2}
    assert log.finished().outcome == "aéaé"
    kinds = [type(event) for event in asked.events if not isinstance(event, ev.ArgumentsDelta)]
    assert [type(event) for event in log.events] == kinds != [type(event) for event in asked.events]


@pytest.mark.parametrize("required", ["", "*", "keep"])
async def test_a_key_may_come_again_only_in_the_turn_that_is_written_under_a_grammar(required: str) -> None:
    @tool
    def keep(notes: dict[str, int]) -> str:
        """Keep notes."""
        return json.dumps(notes)

    log = Log()
    runner = start(log, keep, required=required)
    for _ in range(2):
        runner.text(written("keep", notes={"a": 1, "b": 2, "c": 3}).replace('"c"', '"a"'))
        await end(runner)
    first, second = (finished.outcome for finished in log.of(ev.CallFinished))
    assert isinstance(second, ev.Failure)
    assert second.code == "MALFORMED"
    assert first == ('{"a": 3, "b": 2}' if required else second)


async def test_calls_and_answers_in_reasoning_are_not_run() -> None:
    log = Log()
    runner = start(log, echo)
    runner.text(f"<think>{written('echo', text='a')}</think>{written('echo', text='b')}")
    await end(runner)
    assert [finished.outcome for finished in log.of(ev.CallFinished)] == ["b"]


@pytest.mark.parametrize(
    ("format_", "text"),
    [
        (
            "qwen3_coder",
            "<function=echo>\n<parameter=text>\n12\n</parameter>\n<parameter=times>\n2\n</parameter>\n</function>",
        ),
        ("pythonic", "[echo(text='12', times=2)]"),
        (
            "glm47",
            "<tool_call>echo<arg_key>text</arg_key><arg_value>12</arg_value><arg_key>times</arg_key>"
            "<arg_value>2</arg_value></tool_call>",
        ),
    ],
)
async def test_the_tools_signature_tells_the_types_where_the_format_does_not(format_: str, text: str) -> None:
    log = Log()
    runner = start(log, echo, format_=format_)
    for character in text:
        runner.text(character)
    await end(runner)
    assert log.finished().outcome == "1212"


async def test_partial_starts_at_the_name_and_uses_each_argument_when_it_is_sealed() -> None:
    seen = []

    @tool
    async def watch(first: Arg[str], second: Arg[str]) -> str:
        """Watch."""
        seen.append(await first)
        seen.append(await second)
        return "done"

    log = Log()
    runner = start(log, watch)
    runner.text('<tool_call>\n{"name": "watch"')
    await log.until(is_started)
    runner.text(', "arguments": {"first": "1"')
    await log.until(lambda event: isinstance(event, ev.UnitFinished) and event.unit.label == "first")
    assert seen == ["1"]
    runner.text(', "second": "2"}}')
    await end(runner)
    assert log.finished().outcome == "done"
    offsets = [event.unit.offset for event in log.events if isinstance(event, ev.UnitFinished)]
    assert offsets == [len('<tool_call>\n{"name": "watch"'), 56, 73]


async def test_a_string_streams_while_it_is_open() -> None:
    log = Log()
    runner = start(log, typist)
    runner.text('<tool_call>\n{"name": "typist", "arguments": {"code": "ab')
    assert await log.until(lambda event: isinstance(event, ev.CallOutput)) == ev.CallOutput("call_1", "AB")
    runner.text('c"}}\n</tool_call>')
    await end(runner)
    assert log.finished().outcome == "ABC"


@pytest.mark.parametrize("mode", [Mode.SERIAL, Mode.PARALLEL])
async def test_late_modes_start_nothing_before_the_turn_ends(mode: Mode) -> None:
    log = Log()

    @tool
    async def slow(text: Arg[str]) -> str:
        """Take a while."""
        await asyncio.sleep(0.01)
        return await text

    runner = start(log, slow, mode=mode)
    runner.text(written("slow", text="a") + written("slow", text="b"))
    await asyncio.sleep(0)
    assert not log.of(ev.CallStarted)
    await end(runner)
    order = [type(event) for event in log.events if isinstance(event, ev.CallStarted | ev.CallFinished)]
    one_by_one = [ev.CallStarted, ev.CallFinished, ev.CallStarted, ev.CallFinished]
    assert (order == one_by_one) == (mode is Mode.SERIAL)


async def test_on_seal_starts_a_call_while_the_turn_goes_on() -> None:
    log = Log()
    runner = start(log, echo, mode=Mode.ON_SEAL)
    runner.text('<tool_call>\n{"name": "echo", "arguments": {"text": "a"}')
    assert not log.of(ev.CallStarted)
    runner.text("}\n</tool_call> and on")
    await log.until(lambda event: isinstance(event, ev.CallFinished))
    await end(runner)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("reason", ["length", "veto", "stop"])
async def test_a_call_that_the_turn_cuts_off_is_never_sealed(mode: Mode, reason: str) -> None:
    done, undone = [], []

    @tool(effect=Effect.WRITE)
    async def write(text: Arg[str], call: Call) -> str:
        """Write."""
        call.on_abandon(lambda: undone.append(True))
        await text
        await call.sealed()
        done.append(True)
        return "written"

    log = Log()
    runner = start(log, write, mode=mode)
    runner.text('<tool_call>\n{"name": "write", "arguments": {"text": "a"')
    if mode is Mode.PARTIAL:
        await log.until(lambda event: isinstance(event, ev.UnitFinished) and event.unit.label == "text")
    await end(runner, reason)
    assert log.failure().code == "INCOMPLETE"
    assert log.finished().arguments_json == ""
    assert not done
    assert undone == ([True] if mode is Mode.PARTIAL else [])


async def test_a_tool_that_writes_acts_after_the_seal_and_is_not_undone() -> None:
    done = []

    @tool(effect=Effect.WRITE)
    async def write(call: Call) -> str:
        """Write."""
        call.on_abandon(lambda: done.append("undone"))
        await call.sealed()
        done.append("written")
        return "ok"

    @tool(effect=Effect.WRITE)
    async def careless(text: Arg[str]) -> str:
        """Write without waiting."""
        return await text

    assert not careless.starts_early
    log = Log()
    runner = start(log, write, careless)
    runner.text('<tool_call>\n{"name": "write", "arguments": {}')
    await log.until(is_started)
    assert not done
    runner.text("}\n</tool_call>")
    await end(runner)
    assert done == ["written"]


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        ('"times": "3"', "'times'"),
        ('"colour": 1', "'colour'"),
        ('"text": 5', "'text'"),
    ],
)
async def test_the_first_argument_that_breaks_the_schema_stops_the_turn(arguments: str, culprit: str) -> None:
    log = Log()
    runner = start(log, echo)
    runner.text(f'<tool_call>\n{{"name": "echo", "arguments": {{{arguments}, ')
    vetoed = await log.until(lambda event: isinstance(event, ev.TurnVetoed))
    assert isinstance(vetoed, ev.TurnVetoed) and culprit in vetoed.reason
    await end(runner, "veto")
    assert log.failure().code == "INVALID_ARGUMENTS"
    assert len(log.of(ev.CallFinished)) == 1


async def test_a_missing_argument_fails_the_call() -> None:
    log = Log()
    runner = start(log, plain)
    runner.text(written("plain", times=2))
    await end(runner)
    assert (log.failure().code, "'text' is missing" in log.failure().message) == ("INVALID_ARGUMENTS", True)


async def test_reject_stops_the_turn_once_and_only_while_it_is_decoded() -> None:
    @tool
    async def refuse(place: Arg[str]) -> str:
        """Refuse."""
        raise Reject(f"no such place: {await place}")

    log = Log()
    runner = start(log, refuse)
    runner.text(written("refuse", place="x") + written("refuse", place="y"))
    await log.until(lambda event: isinstance(event, ev.CallFinished) and event.call_id == "call_2")
    await end(runner, "veto")
    assert log.of(ev.TurnVetoed) == [ev.TurnVetoed("call_1", "no such place: x")]
    assert [log.failure(0).message, log.failure(1).message] == ["no such place: x", "no such place: y"]

    late = Log()
    runner = start(late, refuse, mode=Mode.SERIAL)
    runner.text(written("refuse", place="x"))
    await end(runner)
    assert not late.of(ev.TurnVetoed)
    assert late.failure().code == "REJECTED"


async def test_a_tool_that_raises_or_exits_gives_an_error_result() -> None:
    @tool
    async def divide(by: Arg[int]) -> float:
        """Divide."""
        return 1 / await by

    @tool
    async def leave() -> str:
        """Leave."""
        raise SystemExit(3)

    log = Log()
    runner = start(log, divide, leave)
    runner.text(written("divide", by=0) + written("leave"))
    await end(runner)
    assert log.failure(0) == ev.Failure("RAISED", "SystemExit: 3") or log.failure(1) == ev.Failure(
        "RAISED", "SystemExit: 3"
    )
    assert {log.failure(0).message, log.failure(1).message} == {"SystemExit: 3", "ZeroDivisionError: division by zero"}


async def test_the_timeout_counts_work_and_not_the_models_slowness() -> None:
    @tool(timeout=0.4)
    async def hang(text: Arg[str]) -> str:
        """Hang."""
        await text
        await asyncio.Event().wait()
        return "never"

    log = Log()
    runner = start(log, hang)
    runner.text('<tool_call>\n{"name": "hang"')
    await log.until(is_started)
    await asyncio.sleep(0.5)  # longer than the timeout: time passes, but it is not the tool's
    assert not log.of(ev.CallFinished)
    runner.text(', "arguments": {"text": "a"}}')
    await log.until(lambda event: isinstance(event, ev.CallFinished))
    assert log.failure().code == "TIMEOUT"
    await end(runner)


async def test_an_unknown_tool_and_too_many_calls_are_answered() -> None:
    log = Log()
    runner = start(log, plain, limits=Limits(max_calls_per_turn=2))
    runner.text(written("unknown") + written("plain", text="a") + written("plain", text="b"))
    await end(runner)
    codes = [e.outcome.code if isinstance(e.outcome, ev.Failure) else e.outcome for e in log.of(ev.CallFinished)]
    assert sorted(codes) == ["TOO_MANY_CALLS", "UNKNOWN_TOOL", "a"]
    assert log.events[-1] == ev.TurnFinished(3)


async def test_output_is_cut_with_a_notice() -> None:
    @tool
    async def flood() -> AsyncIterator[str]:
        """Flood."""
        for _ in range(100):
            yield "x" * 10

    log = Log()
    runner = start(log, flood, plain, limits=Limits(max_result_chars=25))
    runner.text(written("flood") + written("plain", text="y" * 30))
    await end(runner)
    results = {event.outcome for event in log.of(ev.CallFinished)}
    assert results == {"x" * 25 + "\n[cut at 25 characters]", "y" * 25 + "\n[cut at 25 characters]"}
    assert sum(len(event.text) for event in log.of(ev.CallOutput)) < 60


async def test_a_session_lives_over_turns_and_is_closed_with_the_completion() -> None:
    class Counter:
        def __init__(self) -> None:
            self.value, self.closed = 0, False

        async def aclose(self) -> None:
            self.closed = True

    made: list[Counter] = []

    async def make() -> Counter:
        made.append(Counter())
        return made[-1]

    @tool
    async def count(session: Session, fail: Arg[bool] = False) -> int:  # type: ignore[assignment]
        """Count."""
        async with session.exclusive(make) as counter:
            counter.value += 1
            if await fail:
                raise ValueError("broken")
            return counter.value

    log = Log()
    runner = start(log, count)
    for arguments in ({}, {}, {"fail": True}, {}):
        runner.text(written("count", **arguments))
        await end(runner)
    await runner.aclose()
    outcomes = [e.outcome for e in log.of(ev.CallFinished)]
    assert [outcomes[0], outcomes[1], outcomes[3]] == ["1", "2", "1"]
    assert [counter.closed for counter in made] == [True, True]


async def test_closing_a_completion_stops_its_tools() -> None:
    stopped = asyncio.Event()

    @tool
    async def hang() -> str:
        """Hang."""
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return "never"

    log = Log()
    runner = start(log, hang)
    runner.text('<tool_call>\n{"name": "hang"')
    await log.until(is_started)
    await runner.aclose()
    assert stopped.is_set()


async def test_a_concurrency_cap_makes_calls_wait() -> None:
    gate, running = asyncio.Event(), []

    @tool(concurrency=1)
    async def one(number: Arg[int]) -> int:
        """One at a time."""
        running.append(await number)
        await gate.wait()
        return len(running)

    log = Log()
    runner = start(log, one)
    runner.text(written("one", number=1) + written("one", number=2))
    await log.until(lambda event: isinstance(event, ev.UnitFinished))
    assert len(log.of(ev.CallStarted)) == 1
    gate.set()
    await end(runner)
    assert len(log.of(ev.CallFinished)) == 2
    assert log.finished(1).queued > 0


async def test_a_call_that_only_waits_for_text_lets_others_work() -> None:
    @tool(concurrency=1)
    async def echo(text: Stream[str]) -> AsyncIterator[str]:
        """Echo."""
        async for piece in text:
            yield piece

    log, other = Log(), Log()
    host = ToolHost(by_name([echo]))
    opening = Start("hermes", ("echo",), Mode.PARTIAL, Limits())
    stalled, lively = host.open(opening, log).runner, host.open(opening, other).runner
    whole = written("echo", text="to be")
    cut = whole.index(" be")
    stalled.text(whole[:cut])
    await log.until(lambda event: isinstance(event, ev.CallOutput))
    lively.text(written("echo", text="or not"))
    await end(lively)
    assert other.finished().outcome == "or not"
    assert other.finished().queued > 0
    stalled.text(whole[cut:])
    await end(stalled)
    assert log.finished().outcome == "to be"
    assert log.finished().waiting > other.finished().queued * 0.9
    for runner in (stalled, lively):
        await runner.aclose()
    assert not host.slots["echo"].locked()


async def test_at_most_as_many_work_as_may_however_often_they_wait() -> None:
    working, most = 0, 0

    @tool(concurrency=2)
    async def count(text: Stream[str], session: Session) -> int:
        """Count who works."""
        nonlocal working, most
        async for _ in text:
            working += 1
            most = max(most, working)
            await asyncio.sleep(0.001)
            working -= 1
        return most

    log = Log()
    host = ToolHost(by_name([count]))
    runners = [host.open(Start("hermes", ("count",), Mode.PARTIAL, Limits()), log).runner for _ in range(6)]
    whole = written("count", text="abc")
    for begin, stop in ((0, -20), (-20, -19), (-19, -18)):
        for runner in runners:
            runner.text(whole[begin:stop])
        await asyncio.sleep(LEND_SECONDS * 1.5)
    for runner in runners:
        runner.text(whole[-18:])
        await end(runner)
        await runner.aclose()
    assert len(log.of(ev.CallFinished)) == 6
    assert most == 2
    assert not host.slots["count"].locked()


async def test_a_call_with_a_place_does_not_wait_for_one_that_needs_it() -> None:
    """The first call has the session's resource and no place, the second the place and not the resource."""

    class Thing:
        @classmethod
        async def open(cls) -> "Thing":
            return cls()

        async def aclose(self) -> None:
            pass

    @tool(concurrency=1, timeout=2)
    async def use(text: Stream[str], session: Session) -> str:
        """Use it."""
        async with session.exclusive(Thing.open):
            return await text

    log = Log()
    runner = start(log, use)
    head, middle, tail = written("use", text="ab").partition("b")
    runner.text(head)
    await asyncio.sleep(LEND_SECONDS * 1.5)
    runner.text(middle + tail + written("use", text="cd"))
    await end(runner)
    assert [event.outcome for event in log.of(ev.CallFinished)] == ["ab", "cd"]
    await runner.aclose()


async def test_a_result_counts_only_for_a_call_that_is_sealed_and_nothing_follows_an_outcome() -> None:
    @tool
    async def hasty(text: Arg[str], times: Arg[int] = 1) -> str:  # type: ignore[assignment]
        """Answer before the arguments are there."""
        return "done"

    log = Log()
    runner = start(log, hasty)
    runner.text('<tool_call>\n{"name": "hasty"')
    await log.until(lambda event: isinstance(event, ev.UnitFinished))
    assert not log.of(ev.CallFinished)
    runner.text(', "arguments": {"times": "x"')
    await log.until(lambda event: isinstance(event, ev.CallFinished))
    runner.text(', "text": "more"}}')
    await end(runner)
    assert log.failure().code == "INVALID_ARGUMENTS"
    assert [type(event) for event in log.events[-2:]] == [ev.CallFinished, ev.TurnFinished]


async def test_a_tool_that_ignores_its_cancellation_is_given_up() -> None:
    free = asyncio.Event()

    @tool(timeout=0.05)
    async def stubborn() -> str:
        """Never stop."""
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:
                continue
        return "too late"

    log = Log()
    runner = start(log, stubborn)
    runner.text(written("stubborn"))
    await end(runner)
    assert log.failure().code == "TIMEOUT"
    async with asyncio.timeout(BOUND):
        await runner.aclose()
    count = len(log.events)
    free.set()
    await asyncio.sleep(0.01)
    assert len(log.events) == count


async def test_a_plain_function_that_hangs_takes_no_place_from_other_tools() -> None:
    gate = threading.Event()

    @tool(timeout=0.05)
    def hang() -> str:
        """Hang."""
        gate.wait(BOUND)
        return ""

    log = Log()
    runner = start(log, hang, plain)
    runner.text(written("hang") * 40 + written("plain", text="a"))
    try:
        await end(runner)
    finally:
        gate.set()
    outcomes = {event.call_id: event.outcome for event in log.of(ev.CallFinished)}
    assert outcomes.pop("call_41") == "a"
    assert {outcome.code for outcome in outcomes.values() if isinstance(outcome, ev.Failure)} == {"TIMEOUT"}


async def test_a_tool_that_yields_without_waiting_is_stopped_too() -> None:
    @tool(timeout=0.05)
    async def endless() -> AsyncIterator[str]:
        """Yield for ever."""
        while True:
            yield "x"

    log = Log()
    runner = start(log, endless, limits=Limits(max_result_chars=10))
    runner.text(written("endless"))
    await end(runner)
    assert log.failure().code == "TIMEOUT"


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit, SystemExit])
@pytest.mark.parametrize("plainly", [True, False])
async def test_no_exception_of_a_tool_ends_more_than_its_call(error: type[BaseException], plainly: bool) -> None:
    def leave() -> str:
        """Leave."""
        raise error

    async def leave_async() -> str:
        """Leave."""
        raise error

    log = Log()
    runner = start(log, tool(name="leave")(leave if plainly else leave_async))
    runner.text(written("leave"))
    await end(runner)
    assert log.failure().code == "RAISED"


async def test_text_that_no_message_can_carry_is_made_whole() -> None:
    @tool
    async def names() -> str:
        """Name files."""
        return "caf\udce9.txt"

    @tool
    async def fails() -> str:
        """Fail."""
        raise ValueError("caf\udce9.txt" + "x" * 1000)

    log = Log()
    runner = start(log, names, fails, limits=Limits(max_result_chars=100))
    runner.text(written("names") + written("fails"))
    await end(runner)
    assert log.finished(0).outcome == "caf?.txt"
    assert log.failure(1).message.startswith("ValueError: caf?.txtxxx")
    assert len(log.failure(1).message) < 200


async def test_waiting_for_another_calls_resource_is_not_work() -> None:
    class Thing:
        async def aclose(self) -> None: ...

    async def make() -> Thing:
        return Thing()

    @tool(timeout=1)
    async def use(session: Session) -> str:
        """Use the thing."""
        async with session.exclusive(make):
            await asyncio.sleep(0.2)
        return "used"

    log = Log()
    runner = start(log, use, mode=Mode.PARALLEL)
    runner.text(written("use") * 8)  # longer in all than the timeout of one
    await end(runner)
    assert [event.outcome for event in log.of(ev.CallFinished)] == ["used"] * 8
    assert max(event.busy for event in log.of(ev.CallFinished)) < 1
    assert log.finished(7).queued > log.finished(0).queued


async def test_every_undo_runs_though_the_completion_is_cancelled_meanwhile() -> None:
    undone: list[int] = []
    undoing, gate = asyncio.Event(), asyncio.Event()

    @tool(effect=Effect.WRITE)
    async def write(call: Call) -> str:
        """Write."""

        async def slowly() -> None:
            undoing.set()
            await gate.wait()
            undone.append(2)

        call.on_abandon(lambda: undone.append(1))
        call.on_abandon(slowly)
        await call.sealed()
        return "written"

    log = Log()
    runner = start(log, write)
    runner.text('<tool_call>\n{"name": "write"')
    await log.until(is_started)
    ending = asyncio.create_task(runner.end_turn("length"))
    async with asyncio.timeout(BOUND):
        await undoing.wait()
        ending.cancel()
        closing = asyncio.create_task(runner.aclose())
        await asyncio.sleep(0)
        gate.set()
        await closing
        while len(undone) < 2:  # noqa: ASYNC110 - the undoing task is nobody's to wait for
            await asyncio.sleep(0.001)
    assert undone == [2, 1]


async def test_a_plain_function_without_parameters_runs_only_when_its_call_is_sealed() -> None:
    ran = []

    @tool
    def now() -> str:
        """Tell the time."""
        ran.append(True)
        return "now"

    log = Log()
    runner = start(log, now)
    runner.text('<tool_call>\n{"name": "now"')
    await end(runner, "length")
    assert (log.failure().code, ran) == ("INCOMPLETE", [])
