"""Plans through a real runner, in the format `plan`."""

import asyncio
import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.plain.plan import plan as ordinary_plan
from tests.unit.tool_service.completions import BOUND, Log, end
from tool_service.execution import events as ev
from tool_service.execution.host import FormatMismatchError, Start, ToolHost, by_name
from tool_service.execution.runner import Limits, Mode, Runner
from tool_service.interface import Arg, Call, Effect, Reject, Tool, tool
from tool_service.tools.plan.line import MAX_LINE_CHARS, LineError, parse_line
from tool_service.tools.plan.plan import Lines
from tool_service.tools.plan.tool import plan


@tool(effect=Effect.READ)
async def find(query: Arg[str]) -> str:
    """Look something up."""
    return f"<{await query}>"


@tool
async def ratio(a: float, b: float) -> float:
    """Divide two numbers."""
    return a / b


@tool
async def number(text: str) -> str:
    """Give a number back."""
    return text


@tool
async def never() -> str:
    """Never end."""
    await asyncio.Event().wait()
    return ""


@tool
async def refuse(why: str) -> str:
    """Refuse."""
    raise Reject(why)


class Acts:
    """A tool that writes down what it did."""

    def __init__(self) -> None:
        self.acts: list[str] = []
        self.asks = asyncio.Event()

        @tool(effect=Effect.WRITE)
        async def act(what: Arg[str], call: Call) -> str:
            """Do something."""
            said = await what
            self.asks.set()
            await call.sealed()
            self.acts.append(said)
            return "done"

        self.tool = act


def start(
    log: Log, *tools: Tool, mode: Mode = Mode.PARTIAL, name: tuple[str, ...] = ("plan",), planner: Tool = plan
) -> Runner:
    host = ToolHost(by_name([planner, *tools]))
    return host.open(Start("plan", name, mode, Limits()), log).runner


def written(*lines: str) -> str:
    return "".join([">>>\n", *(f"{line}\n" for line in lines), "<<<\n"])


async def result(
    *lines: str, tools: tuple[Tool, ...] = (find, ratio, number), mode: Mode = Mode.PARTIAL, planner: Tool = plan
) -> Log:
    log = Log()
    runner = start(log, *tools, mode=mode, planner=planner)
    runner.text(written(*lines))
    await end(runner)
    await runner.aclose()
    return log


def own(log: Log) -> ev.CallFinished:
    return next(event for event in log.of(ev.CallFinished) if event.call_id == "call_1")


@pytest.mark.parametrize("mode", list(Mode))
async def test_results_of_all_lines_come_back_in_order_in_every_mode(mode):
    log = await result(
        "$1 = find(Microsoft market cap)",
        "$2 = number(12)",
        "$3 = number(4)",
        "$4 = ratio($2, $3)",
        "$5 = find('x $4')",
        mode=mode,
    )
    assert own(log).outcome == "$1: <Microsoft market cap>\n$2: 12\n$3: 4\n$4: 3.0\n$5: <x 3.0>\n"


@pytest.mark.parametrize("line", ["$3 = ratio($1, $2)", "$3 = ratio($1, 'x')", "$3 = fly($1)", "$1 = find(again)"])
async def test_the_ordinary_function_gives_the_same(line):
    lines = ("$1 = number(12)", "$2 = number(4)", line)
    partial = await result(*lines)
    plain = await result(*lines, mode=Mode.PARALLEL, planner=ordinary_plan)
    assert own(plain).outcome == own(partial).outcome


async def test_a_line_runs_while_the_next_is_still_to_come():
    log = Log()
    runner = start(log, find)
    runner.text(">>>\n$1 = find(tea)\n$2 = fi")
    await log.until(lambda event: isinstance(event, ev.CallFinished) and event.call_id == "call_1.1")
    runner.text("nd(coffee)\n<<<\n")
    await end(runner)
    assert own(log).outcome == "$1: <tea>\n$2: <coffee>\n"


async def test_inner_calls_say_whose_they_are_and_what_they_waited_for():
    log = await result("$1 = number(1)", "$2 = number(2)", "$3 = ratio($1, $2)")
    opened = [(event.call_id, event.name, event.parent_id) for event in log.of(ev.CallOpened)]
    assert opened == [
        ("call_1", "plan", ""),
        ("call_1.1", "number", "call_1"),
        ("call_1.2", "number", "call_1"),
        ("call_1.3", "ratio", "call_1"),
    ]
    assert {event.call_id: event.after for event in log.of(ev.CallStarted)}["call_1.3"] == ("call_1.1", "call_1.2")


async def test_lines_run_at_once_and_in_serial_mode_one_after_the_other():
    running, most = 0, 0

    @tool
    async def meet(place: str) -> str:
        """Count who is here."""
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(5):
            await asyncio.sleep(0)
        running -= 1
        return place

    await result("$1 = meet(a)", "$2 = meet(b)", "$3 = meet(c)", tools=(meet,))
    assert most == 3
    most = 0
    await result("$1 = meet(a)", "$2 = meet(b)", "$3 = meet(c)", tools=(meet,), mode=Mode.SERIAL)
    assert most == 1


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("$2 = find($3)", r"\$3 is not there yet"),
        ("$2 = find($2 again)", r"\$2 needs itself"),
        ("$1 = find(again)", r"\$1 is there already"),
        ("$2 = fly(away)", "there is no tool 'fly'; there are: find, never"),
        ("$2 = plan(x)", "there is no tool 'plan'"),
        ("$2 = find('a', 'b')", "find takes 1 arguments: query"),
        ("$2 = find(site='x')", "argument 'site' is unknown; find takes: query"),
        ("$2 = find('a', query='b')", "argument 'query' is given twice"),
        ("two = find(x)", r"it is not written like \$1 = tool\(arguments\)"),
    ],
)
async def test_a_line_that_cannot_be_run_stops_the_turn_before_the_rest_is_written(line, problem):
    log = Log()
    runner = start(log, find, never)
    runner.text(f">>>\n$1 = never()\n{line}\n$4 = fi")
    veto = await log.until(lambda event: isinstance(event, ev.TurnVetoed))
    assert isinstance(veto, ev.TurnVetoed)
    assert line in veto.reason
    assert re.search(problem, veto.reason)
    await end(runner, "veto")
    assert isinstance(own(log).outcome, ev.Failure)
    ended = {event.call_id for event in log.of(ev.CallFinished)}
    assert {event.call_id for event in log.of(ev.CallOpened)} == ended


async def test_a_line_that_fails_is_answered_and_the_others_run_on():
    log = await result(
        "$1 = refuse(no)", "$2 = find($1 more)", "$3 = find(tea)", "$4 = ratio($3, 1)", tools=(refuse, find, ratio)
    )
    lines = str(own(log).outcome).splitlines()
    assert lines[0] == "$1: error: no"
    assert lines[1] == "$2: error: not run, for $1 has no result"
    assert lines[2] == "$3: <tea>"
    assert lines[3].startswith("$4: error: argument 'a': Input should be a valid number")
    assert log.of(ev.TurnVetoed) == []
    assert len(log.of(ev.CallFinished)) == 5


async def test_a_plan_cut_off_stops_its_lines():
    log = Log()
    runner = start(log, never)
    runner.text(">>>\n$1 = never()\n$2 = nev")
    await log.until(lambda event: isinstance(event, ev.CallStarted) and event.call_id == "call_1.1")
    await end(runner, "length")
    assert own(log).outcome == ev.Failure("INCOMPLETE", own(log).outcome.message)  # type: ignore[union-attr]
    inner = next(event for event in log.of(ev.CallFinished) if event.call_id == "call_1.1")
    assert isinstance(inner.outcome, ev.Failure)


async def test_a_cancelled_completion_leaves_no_task():
    log = Log()
    runner = start(log, never)
    runner.text(">>>\n$1 = never()\n")
    await log.until(lambda event: isinstance(event, ev.CallStarted) and event.call_id == "call_1.1")
    async with asyncio.timeout(BOUND):
        await runner.aclose()
    assert [task for task in asyncio.all_tasks() if "tool" in task.get_name()] == []


async def test_a_line_that_writes_waits_for_the_plans_end_and_never_acts_when_it_is_cut_off():
    acts, log = Acts(), Log()
    runner = start(log, acts.tool, name=("plan", "act"))
    runner.text(">>>\n$1 = act(now)\n")
    async with asyncio.timeout(BOUND):
        await acts.asks.wait()
    assert acts.acts == []
    runner.text("<<<\n")
    await end(runner)
    assert acts.acts == ["now"]
    runner.text(">>>\n$1 = act(later)\n")
    await end(runner, "length")
    assert acts.acts == ["now"]
    await runner.aclose()


async def test_alone_a_plan_may_call_what_does_no_harm():
    acts, log = Acts(), Log()
    runner = start(log, acts.tool, find)
    runner.text(written("$1 = act(now)"))
    await end(runner)
    assert "there is no tool 'act'; there are: find" in str(own(log).outcome)


async def test_a_model_is_told_the_tools_that_its_plan_may_call():
    host = ToolHost(by_name([plan, find, ratio]))
    opened = host.open(Start("plan", ("plan", "find"), Mode.PARTIAL, Limits()), Log())
    assert "find" in opened.instructions
    assert "Look something up." in opened.instructions
    assert "Divide two numbers." not in opened.instructions
    assert [tool.name for tool in opened.tools] == ["plan"]


def test_a_plan_without_plan_is_refused():
    host = ToolHost(by_name([plan, find]))
    with pytest.raises(FormatMismatchError, match="'plan'"):
        host.open(Start("plan", ("find",), Mode.PARTIAL, Limits()), Log())


async def test_work_of_lines_is_theirs_and_not_the_plans():
    @tool
    async def slow() -> str:
        """Take a moment."""
        await asyncio.sleep(0.05)
        return "ok"

    log = await result("$1 = slow()", tools=(slow,))
    inner = next(event for event in log.of(ev.CallFinished) if event.call_id == "call_1.1")
    assert inner.busy >= 0.05
    assert own(log).busy < inner.busy


def pieces(text: str, cuts: list[int]) -> Iterator[str]:
    places = sorted({cut % (len(text) + 1) for cut in cuts})
    for begin, stop in zip([0, *places], [*places, len(text)], strict=True):
        yield text[begin:stop]


@given(st.text(alphabet="ab\n$", max_size=40), st.lists(st.integers(0, 1000), max_size=8))
@settings(max_examples=200)
def test_lines_are_the_same_however_the_text_is_cut(text, cuts):
    lines = Lines()
    cut = [line for piece in pieces(text, cuts) for line in lines.feed(piece)] + lines.close()
    assert "".join(cut) == text
    assert cut == [*(f"{line}\n" for line in text.split("\n")[:-1]), text.split("\n")[-1]]


def test_a_line_that_is_too_long_comes_out_before_it_ends():
    lines = Lines()
    start = "$1 = find(" + "x" * (MAX_LINE_CHARS - 10)
    assert lines.feed(start) == []
    assert lines.feed("y") == [f"{start}y"]
    with pytest.raises(LineError, match=f"at most {MAX_LINE_CHARS}"):
        parse_line(f"{start}y")


def test_comments_and_space_may_be_as_long_as_they_like_and_are_not_kept():
    lines = Lines()
    for text in ("#", " ", "\t"):
        assert lines.feed(text * MAX_LINE_CHARS) == []
        assert lines.feed(text * MAX_LINE_CHARS) == []
        (line,) = lines.feed("\n")
        assert parse_line(line) is None
        assert len(line) <= MAX_LINE_CHARS
