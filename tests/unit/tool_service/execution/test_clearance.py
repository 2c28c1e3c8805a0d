"""Calls that act or ask, through the runner: never before they are sealed and allowed, and never twice."""

import asyncio
import contextlib
import os
import random
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.unit.tool_service.completions import Log, end, written
from tool_service.execution import events as ev
from tool_service.execution import journal
from tool_service.execution.host import Start, ToolHost, by_name
from tool_service.execution.journal import EffectJournal, JournalError
from tool_service.execution.runner import Limits, Mode, Runner
from tool_service.interface import Arg, Call, Effect, Reject, Tool, tool

ROOT = Path(__file__).resolve().parents[4]


class World:
    """What tools have done to it."""

    def __init__(self) -> None:
        self.acts: list[str] = []
        self.prepared: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()


class Service:
    """Tools around a world; each `completion` is one try of a request."""

    def __init__(self, *tools: Tool, journal: EffectJournal | None = None, seconds: float = 60.0) -> None:
        self.host = ToolHost(by_name(tools), journal or EffectJournal(), approval_seconds=seconds)

    def completion(self, mode: Mode = Mode.PARTIAL, id_: str = "r1", **limits: Any) -> tuple[Runner, Log]:
        log = Log()
        start = Start("hermes", tuple(self.host.tools), mode, Limits(**limits), completion_id=id_)
        return self.host.open(start, log).runner, log

    async def call(
        self, name: str, mode: Mode = Mode.PARTIAL, id_: str = "r1", **arguments: object
    ) -> str | ev.Failure:
        """The outcome of one whole call in a completion of its own."""
        runner, log = self.completion(mode, id_)
        runner.text(written(name, **arguments))
        await end(runner)
        await runner.aclose()
        return log.finished().outcome


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def tools(world: World) -> dict[str, Tool]:
    """Tools that send, as authors write them: early with a Call, late, plain; and the same that ask."""

    async def early(to: Arg[str], call: Call) -> str:
        """Send."""
        world.prepared.append("early")
        call.on_abandon(lambda: world.prepared.remove("early"))
        await call.sealed()
        await world.gate.wait()
        world.acts.append(f"early {await to} {call.key}")
        return f"sent to {await to}"

    async def late(to: Arg[str]) -> str:
        """Send."""
        await world.gate.wait()
        world.acts.append(f"late {await to}")
        return f"sent to {await to}"

    def plain(to: str) -> str:
        """Send."""
        world.acts.append(f"plain {to}")
        return f"sent to {to}"

    made = [tool(effect=Effect.WRITE, timeout=5)(function) for function in (early, late, plain)]
    asking = [
        tool(name=f"ask_{function.__name__}", effect=Effect.WRITE, timeout=5, approve="ask")(function)
        for function in (early, late, plain)
    ]
    return by_name([*made, *asking])


NAMES = ["early", "late", "plain"]


def awaited(log: Log) -> list[ev.Event]:
    return log.of(ev.ApprovalAwaited)


async def until_awaited(log: Log) -> ev.ApprovalAwaited:
    event = await log.until(lambda event: isinstance(event, ev.ApprovalAwaited))
    assert isinstance(event, ev.ApprovalAwaited)
    return event


async def settle() -> None:
    """Lets everything that can go on go on."""
    for _ in range(20):
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)


# --- before the seal ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("reason", ["length", "stop", "veto"])
async def test_nothing_acts_before_its_call_is_sealed(
    mode: Mode, name: str, reason: str, tools: dict[str, Tool], world: World
) -> None:
    service = Service(*tools.values())
    runner, log = service.completion(mode)
    runner.text(written(name, to="x").partition("}}")[0] + "}")
    await settle()
    assert world.acts == []
    await end(runner, reason)
    await runner.aclose()
    assert log.failure().code == "INCOMPLETE"
    assert (world.acts, world.prepared) == ([], [])
    assert (await service.call(name, to="x")) == "sent to x"  # nothing was noted either


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("name", NAMES)
async def test_a_sealed_call_acts_once_and_is_told_its_key(
    mode: Mode, name: str, tools: dict[str, Tool], world: World
) -> None:
    service = Service(*tools.values())
    assert await service.call(name, mode, to="x") == "sent to x"
    assert world.acts == [{"early": "early x r1/call_1"}.get(name, f"{name} x")]


async def test_late_modes_note_a_call_only_when_its_turn_has_come(tools: dict[str, Tool], world: World) -> None:
    """Else a crash in the first of two calls would leave the second one begun."""
    service = Service(*tools.values())
    world.gate.clear()
    runner, log = service.completion(Mode.SERIAL)
    runner.text(written("late", to="x") + written("late", to="y"))
    ending = asyncio.create_task(end(runner))
    await log.until(lambda event: isinstance(event, ev.CallStarted))
    ending.cancel()
    await runner.aclose()
    world.gate.set()
    runner, log = service.completion(Mode.SERIAL)
    runner.text(written("late", to="x") + written("late", to="y"))
    await end(runner)
    assert [getattr(event.outcome, "code", event.outcome) for event in log.of(ev.CallFinished)] == [
        "OUTCOME_UNKNOWN",
        "sent to y",
    ]


# --- approval -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("name", NAMES)
async def test_a_call_that_asks_waits_until_it_is_allowed(
    mode: Mode, name: str, tools: dict[str, Tool], world: World
) -> None:
    runner, log = Service(*tools.values()).completion(mode)
    runner.text(written(f"ask_{name}", to="x"))
    ending = asyncio.create_task(end(runner))
    assert await until_awaited(log) == ev.ApprovalAwaited("call_1", "r1", '{"to": "x"}', 60.0)
    await settle()
    assert (world.acts, log.of(ev.CallFinished)) == ([], [])
    runner.decide("call_1", True)
    await ending
    assert log.finished().outcome == "sent to x"
    assert len(world.acts) == 1
    assert len(awaited(log)) == 1
    await runner.aclose()


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("reason", "said"), [("too dear", "this call: too dear"), ("", "this call.")])
async def test_a_call_that_is_refused_is_undone_and_does_not_act(
    mode: Mode, name: str, reason: str, said: str, tools: dict[str, Tool], world: World
) -> None:
    service = Service(*tools.values())
    runner, log = service.completion(mode)
    runner.text(written(f"ask_{name}", to="x"))
    ending = asyncio.create_task(end(runner))
    await until_awaited(log)
    runner.decide("call_1", False, reason)
    await ending
    assert log.failure() == ev.Failure("DENIED", f"A person refused {said}")
    assert (world.acts, world.prepared) == ([], [])
    await runner.aclose()


@pytest.mark.parametrize("name", NAMES)
async def test_a_call_that_nobody_allows_in_time_does_not_act(name: str, tools: dict[str, Tool], world: World) -> None:
    service = Service(*tools.values(), seconds=0.02)
    outcome = await service.call(f"ask_{name}", to="x")
    assert outcome == ev.Failure("DENIED", "Nobody allowed this call within 0.02 s.")
    assert (world.acts, world.prepared) == ([], [])


async def test_only_the_first_word_counts_and_only_of_the_call_that_waits(tools: dict[str, Tool], world: World) -> None:
    runner, log = Service(*tools.values()).completion()
    runner.decide("call_1", True)  # nobody asked yet
    runner.text(written("ask_late", to="x"))
    ending = asyncio.create_task(end(runner))
    await until_awaited(log)
    runner.decide("call_2", True)
    runner.decide("", True)
    await settle()
    assert world.acts == []
    runner.decide("call_1", False, "no")
    runner.decide("call_1", True)
    await ending
    runner.decide("call_1", True)  # its turn is over
    assert log.failure().code == "DENIED"
    assert world.acts == []
    await runner.aclose()


async def test_each_of_two_calls_gets_its_own_word(tools: dict[str, Tool], world: World) -> None:
    runner, log = Service(*tools.values()).completion()
    runner.text(written("ask_late", to="x") + written("ask_late", to="y"))
    ending = asyncio.create_task(end(runner))
    await log.until(lambda _: len(awaited(log)) == 2)
    runner.decide("call_2", True)
    runner.decide("call_1", False)
    await ending
    assert world.acts == ["late y"]
    await runner.aclose()


async def test_waiting_for_a_person_is_neither_work_nor_a_timeout(world: World) -> None:
    @tool(effect=Effect.WRITE, timeout=1.0, approve="ask")
    async def write(call: Call) -> str:
        """Write."""
        await call.sealed()
        return "written"

    runner, log = Service(write).completion()
    runner.text(written("write"))
    ending = asyncio.create_task(end(runner))
    await until_awaited(log)
    await asyncio.sleep(1.1)  # longer than its work may take
    runner.decide("call_1", True)
    await ending
    assert log.finished().outcome == "written"
    assert log.finished().busy < 1.0
    await runner.aclose()


async def test_a_call_that_only_looks_may_ask_too() -> None:
    @tool(effect=Effect.READ, approve="ask")
    async def look(at: Arg[str]) -> str:
        """Look."""
        return f"saw {await at}"

    service = Service(look)
    for _ in range(2):  # and is done again when it comes again
        runner, log = service.completion()
        runner.text(written("look", at="x").partition("}}")[0])
        await settle()
        assert not log.of(ev.CallStarted)
        runner.text("}}\n</tool_call>")
        ending = asyncio.create_task(end(runner))
        await until_awaited(log)
        runner.decide("call_1", True)
        await ending
        assert log.finished().outcome == "saw x"


@pytest.mark.parametrize("name", NAMES)
async def test_a_completion_that_ends_while_a_call_waits_leaves_nothing(
    name: str, tools: dict[str, Tool], world: World
) -> None:
    before = asyncio.all_tasks()
    service = Service(*tools.values())
    runner, log = service.completion()
    runner.text(written(f"ask_{name}", to="x"))
    ending = asyncio.create_task(end(runner))
    await until_awaited(log)
    ending.cancel()
    await asyncio.gather(ending, return_exceptions=True)
    await runner.aclose()
    runner.decide("call_1", True)
    await settle()
    assert asyncio.all_tasks() == before
    assert (world.acts, world.prepared) == ([], [])
    assert await service.call(name, id_="r2", to="x") == "sent to x"


async def test_a_tool_that_fails_before_it_is_allowed_waits_for_nobody() -> None:
    ready = asyncio.Event()

    @tool(effect=Effect.WRITE, approve="ask")
    async def write(call: Call) -> str:
        """Write."""
        await ready.wait()
        raise ValueError("no disk")

    before = asyncio.all_tasks()
    service = Service(write)
    runner, log = service.completion()
    runner.text(written("write"))
    ending = asyncio.create_task(end(runner))
    await until_awaited(log)
    ready.set()
    await ending
    assert log.failure() == ev.Failure("RAISED", "ValueError: no disk")
    runner.decide("call_1", True)
    await settle()
    assert asyncio.all_tasks() == before
    await runner.aclose()


# --- once -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("name", NAMES)
async def test_a_completion_that_is_tried_again_has_the_first_results_and_acts_no_more(
    mode: Mode, name: str, tools: dict[str, Tool], world: World
) -> None:
    service = Service(*tools.values())
    for _ in range(3):
        assert await service.call(name, mode, to="x") == "sent to x"
    assert (len(world.acts), world.prepared.count(name)) == (1, 1 if name == "early" else 0)


async def test_other_completions_act_for_themselves(tools: dict[str, Tool], world: World) -> None:
    service = Service(*tools.values())
    for id_ in ("r1", "r2", "", ""):  # without an id, each is its own
        assert await service.call("late", id_=id_, to="x") == "sent to x"
    assert len(world.acts) == 4


async def test_the_same_call_twice_in_one_completion_acts_twice(tools: dict[str, Tool], world: World) -> None:
    runner, _ = Service(*tools.values()).completion()
    runner.text(written("late", to="x") * 2)
    await end(runner)
    assert world.acts == ["late x", "late x"]


@pytest.mark.parametrize("name", NAMES)
async def test_another_call_under_a_used_key_is_not_run(name: str, tools: dict[str, Tool], world: World) -> None:
    service = Service(*tools.values())
    await service.call(name, to="x")
    outcome = await service.call(name, to="y")
    assert isinstance(outcome, ev.Failure)
    assert outcome.code == "KEY_REUSED"
    assert len(world.acts) == 1


async def test_nobody_is_asked_to_allow_what_was_done_already(tools: dict[str, Tool], world: World) -> None:
    service = Service(*tools.values())
    runner, log = service.completion()
    runner.text(written("ask_late", to="x"))
    ending = asyncio.create_task(end(runner))
    await until_awaited(log)
    runner.decide("call_1", True)
    await ending
    runner, log = service.completion()
    runner.text(written("ask_late", to="x"))
    await end(runner)
    assert (log.finished().outcome, awaited(log)) == ("sent to x", [])
    assert world.acts == ["late x"]


async def test_a_refusal_is_not_remembered(tools: dict[str, Tool], world: World) -> None:
    service = Service(*tools.values())
    for word in (False, True):
        runner, log = service.completion()
        runner.text(written("ask_late", to="x"))
        ending = asyncio.create_task(end(runner))
        await until_awaited(log)
        runner.decide("call_1", word)
        await ending
    assert world.acts == ["late x"]


@pytest.mark.parametrize("error", [ValueError("no"), Reject("never"), SystemExit(3)])
async def test_a_tool_that_raised_is_repeated_as_the_same_failure(error: BaseException) -> None:
    runs = []

    @tool(effect=Effect.WRITE)
    async def write(call: Call) -> str:
        """Write."""
        await call.sealed()
        runs.append(1)
        raise error

    service = Service(write)
    first, again = await service.call("write"), await service.call("write")
    assert isinstance(first, ev.Failure)
    assert first == again
    assert len(runs) == 1


async def test_how_a_call_that_was_stopped_at_its_limit_ended_is_not_known() -> None:
    runs = []

    @tool(effect=Effect.WRITE, timeout=0.02)
    async def write(call: Call) -> str:
        """Write."""
        await call.sealed()
        runs.append(1)
        await asyncio.Event().wait()
        return ""

    service = Service(write)
    codes = [getattr(await service.call("write"), "code", None) for _ in range(3)]
    assert codes == ["TIMEOUT", "OUTCOME_UNKNOWN", "OUTCOME_UNKNOWN"]
    assert len(runs) == 1


async def test_one_that_may_be_done_again_is_done_again_after_an_interruption() -> None:
    runs = []

    @tool(effect=Effect.IDEMPOTENT, timeout=0.1)
    async def put(call: Call) -> str:
        """Put."""
        await call.sealed()
        runs.append(1)
        if len(runs) == 1:
            await asyncio.Event().wait()
        return "put"

    service = Service(put)
    outcomes = [getattr(outcome := await service.call("put"), "code", outcome) for _ in range(3)]
    assert outcomes == ["TIMEOUT", "put", "put"]
    assert len(runs) == 2


async def test_a_call_that_found_no_place_has_not_acted_and_may_be_tried_again() -> None:
    runs = []

    @tool(effect=Effect.WRITE, timeout=0.2, concurrency=1)
    async def write(to: Arg[str], call: Call) -> str:
        """Write."""
        await call.sealed()
        runs.append(1)
        return "written"

    service = Service(write)
    await service.host.slots["write"].acquire()
    outcome = await service.call("write", Mode.PARALLEL, to="x")
    assert isinstance(outcome, ev.Failure)
    assert outcome.code == "TIMEOUT"
    service.host.slots["write"].release()
    assert await service.call("write", to="x") == "written"
    assert len(runs) == 1


async def test_a_call_that_waits_for_a_place_when_its_completion_ends_may_be_tried_again() -> None:
    runs = []

    @tool(effect=Effect.WRITE, concurrency=1)
    async def write(to: str) -> str:
        """Write."""
        runs.append(to)
        return "written"

    service = Service(write)
    await service.host.slots["write"].acquire()
    runner, _ = service.completion()
    runner.text(written("write", to="x"))
    await settle()
    await runner.aclose()
    service.host.slots["write"].release()
    assert await service.call("write", to="x") == "written"
    assert runs == ["x"]


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("name", NAMES)
async def test_nothing_acts_where_it_cannot_be_noted(
    mode: Mode, name: str, tools: dict[str, Tool], world: World, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    service = Service(*tools.values(), journal=EffectJournal(tmp_path / "file" / "effects.db"))
    outcome = await service.call(name, mode, to="x")
    assert isinstance(outcome, ev.Failure)
    assert outcome.code == "RAISED"
    assert outcome.message.startswith(f"The call was not run: the journal of effects {tmp_path}/file/effects.db cannot")
    assert (world.acts, world.prepared) == ([], [])


async def test_a_bug_in_the_journal_fails_the_call_and_hangs_nothing(
    tools: dict[str, Tool], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(EffectJournal, "begin", broken)
    outcome = await Service(*tools.values()).call("late", to="x")
    assert outcome == ev.Failure("RAISED", "The call was not run: ZeroDivisionError.")
    assert world.acts == []


async def test_an_outcome_that_cannot_be_noted_is_told_and_not_repeated(
    tools: dict[str, Tool], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(*tools.values())
    with monkeypatch.context() as patched:
        patched.setattr(EffectJournal, "finish", _fail)
        assert await service.call("late", to="x") == "sent to x"
    outcome = await service.call("late", to="x")
    assert isinstance(outcome, ev.Failure)
    assert outcome.code == "OUTCOME_UNKNOWN"
    assert world.acts == ["late x"]


async def _fail(*_: object) -> None:
    raise JournalError("the disk is full")


async def test_two_tries_at_once_act_once(tools: dict[str, Tool], world: World) -> None:
    service = Service(*tools.values())
    world.gate.clear()
    tries = [asyncio.create_task(service.call("late", to="x")) for _ in range(2)]
    await settle()
    world.gate.set()
    codes = {getattr(outcome, "code", outcome) for outcome in await asyncio.gather(*tries)}
    assert codes == {"sent to x", "OUTCOME_UNKNOWN"}
    assert world.acts == ["late x"]


async def test_a_completion_that_is_tried_again_has_the_first_result_where_the_tool_would_now_refuse() -> None:
    """As a file that exists, or a row with a primary key, once the first try has acted."""
    files: list[str] = []

    @tool(effect=Effect.WRITE)
    async def save(path: Arg[str], text: Arg[str], call: Call) -> str:
        """Save."""
        if await path in files:
            raise Reject("exists already")
        await text
        await call.sealed()
        files.append(await path)
        return "saved"

    service = Service(save)
    for text, outcome in (("x", "saved"), ("x", "saved"), ("y", "KEY_REUSED")):
        runner, log = service.completion()
        head, _, tail = written("save", path="p", text=text).partition('"text"')
        runner.text(head)
        await settle()  # time to refuse
        runner.text(f'"text"{tail}')
        await end(runner)
        await runner.aclose()
        assert getattr(log.finished().outcome, "code", log.finished().outcome) == outcome
        assert not log.of(ev.TurnVetoed)
    assert files == ["p"]
    assert await service.call("save", id_="r2", path="p", text="x") == ev.Failure("REJECTED", "exists already")


@pytest.mark.parametrize("name", NAMES)
async def test_a_call_that_is_cut_off_while_it_is_noted_may_be_tried_again(
    name: str, tools: dict[str, Tool], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    begins, go_on = threading.Event(), threading.Event()

    def slowly(*given: Any) -> Any:
        begins.set()
        go_on.wait(10)
        return begin(*given)

    begin = journal._begin
    service = Service(*tools.values())
    with monkeypatch.context() as patched:
        patched.setattr(journal, "_begin", slowly)
        runner, log = service.completion()
        runner.text(written(f"ask_{name}", to="x"))
        ending = asyncio.create_task(end(runner))
        await until_awaited(log)
        runner.decide("call_1", True)
        await asyncio.to_thread(begins.wait, 10)
        ending.cancel()
        closing = asyncio.create_task(runner.aclose())
        await settle()
        go_on.set()
        await closing
    assert (world.acts, world.prepared) == ([], [])
    assert await service.call(name, to="x") == "sent to x"  # else KEY_REUSED
    assert len(world.acts) == 1


# --- a crash between effect and answer ------------------------------------------------------------------------------

ONE_TRY = """
import asyncio, os, random, signal, sys
from pathlib import Path
from tool_service.execution.host import Start, ToolHost
from tool_service.execution.journal import EffectJournal
from tool_service.execution.runner import Limits, Mode
from tool_service.interface import Arg, Call, Effect, tool

state, world, text, moment = sys.argv[1:]

def at(place):
    if moment == place:
        os.kill(os.getpid(), signal.SIGKILL)

@tool(effect=Effect.WRITE)
async def send(to: Arg[str], call: Call) -> str:
    "Send."
    await call.sealed()
    at("before")
    with open(world, "a") as file:
        file.write(f"{call.key} {await to}\\n")
    at("after")
    return f"sent to {await to}"

async def main():
    host = ToolHost({"send": send}, EffectJournal(Path(state)))
    def emit(event):
        at(type(event).__name__)
        if type(event).__name__ == "CallFinished":
            print(event.outcome if isinstance(event.outcome, str) else event.outcome.code)
    runner = host.open(Start("hermes", ("send",), Mode.PARTIAL, Limits(), completion_id="r1"), emit).runner
    if moment.isdigit():
        asyncio.get_running_loop().call_later(int(moment) / 1e6, at, moment)
    for character in text:
        if moment == "CallStarted" and character == "}":
            await asyncio.sleep(30)  # started before the call is whole, it is killed meanwhile
        runner.text(character)
        await asyncio.sleep(0)
    await runner.end_turn("stop")
    await runner.aclose()
    await host.aclose()

asyncio.run(main())
"""


async def one_try(folder: Path, moment: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ONE_TRY, str(folder / "effects.db"), str(folder / "world")),
        *(written("send", to="x"), moment),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode().strip()


def acts(folder: Path) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return (folder / "world").read_text().splitlines()
    return []


@pytest.mark.parametrize(
    ("moment", "acted", "again"),
    [
        pytest.param("CallOpened", 0, "sent to x", marks=pytest.mark.slow),
        pytest.param("CallStarted", 0, "sent to x", marks=pytest.mark.slow),
        ("before", 0, "OUTCOME_UNKNOWN"),
        ("after", 1, "OUTCOME_UNKNOWN"),
        ("CallFinished", 1, "sent to x"),
    ],
)
async def test_a_service_that_is_killed_and_tried_again_has_acted_at_most_once(
    tmp_path: Path, moment: str, acted: int, again: str
) -> None:
    assert (await one_try(tmp_path, moment))[0] == -signal.SIGKILL
    assert len(acts(tmp_path)) == acted
    assert await one_try(tmp_path, "never") == (0, again)
    assert acts(tmp_path) in ([], ["r1/call_1 x"])


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_at_most_once_wherever_it_is_killed(tmp_path: Path) -> None:
    moments = random.Random(4)
    for number in range(100):
        folder = tmp_path / str(number)
        folder.mkdir()
        for _ in range(2):
            await one_try(folder, str(moments.randrange(20_000)))
        _, said = await one_try(folder, "never")
        assert said in ("sent to x", "OUTCOME_UNKNOWN")
        assert len(acts(folder)) == 1 if said == "sent to x" else len(acts(folder)) <= 1
