"""Plain functions in worker processes, and every way in which one can end."""

import asyncio
import json
import os
import random
import resource
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.processes import children, ended, is_running, of_group, told, until, with_command
from tests.unit.tool_service.completions import Log, end, written
from tool_service.execution import events as ev
from tool_service.execution.host import Start, ToolHost, by_name
from tool_service.execution.printed import MAX_PRINTED_BYTES
from tool_service.execution.runner import Limits, Mode, Runner
from tool_service.execution.workers import WorkerPool
from tool_service.tools.sources import tools_of

ROOT = Path(__file__).resolve().parents[4]
TOOLS = str(Path(__file__).with_name("worker_tools.py"))


class Service:
    """A host of `worker_tools.py`, or other tools, with a pool of its own."""

    def __init__(self, workers: int = 1, tools: str = TOOLS) -> None:
        self.host = ToolHost(by_name(tools_of(tools)), workers=WorkerPool(workers))

    def completion(self, **limits: Any) -> tuple[Runner, Log]:
        log = Log()
        return self.host.open(Start("hermes", tuple(self.host.tools), Mode.PARTIAL, Limits(**limits)), log).runner, log

    async def finished(self, name: str, arguments: dict[str, object], **limits: Any) -> ev.CallFinished:
        runner, log = self.completion(**limits)
        runner.text(written(name, **arguments))
        async with asyncio.timeout(30):
            await runner.end_turn("stop")
        await runner.aclose()
        return log.finished()

    async def call(self, name: str, **arguments: object) -> Any:
        """The result, as JSON where it is; or the failure."""
        outcome = (await self.finished(name, arguments)).outcome
        return json.loads(outcome) if isinstance(outcome, str) and outcome[:1] in "[{0123456789" else outcome


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    before = children()
    opened = Service()
    yield opened
    await opened.host.aclose()
    await ended(children() - before)


async def waiting(service: Service, file: Path) -> tuple[Runner, "asyncio.Task[None]", list[int]]:
    """A completion whose call runs, and its processes."""
    runner, _ = service.completion()
    runner.text(written("wait", file=str(file)))
    ending = asyncio.create_task(end(runner))
    return runner, ending, await told(file)


async def test_a_plain_function_runs_in_another_process_which_is_kept(service: Service) -> None:
    (first, one), (second, two) = await service.call("count"), await service.call("count")
    assert first == second != os.getpid()
    assert (one, two) == (1, 2)  # what a module holds lives as long as its worker


async def test_arguments_have_their_types_and_defaults(service: Service) -> None:
    assert await service.call("add", a=1) == 3
    assert await service.call("add", a=1, b=5) == 6
    assert (await service.call("add", a="1")).code == "INVALID_ARGUMENTS"


@pytest.mark.parametrize(
    ("how", "code", "message", "lives"),
    [
        ("reject", "REJECTED", "not for you", True),
        ("raise", "RAISED", "ValueError: caf?.", True),
        ("mute", "RAISED", "Mute.", True),
        ("sentence", "RAISED", "There is no such page.", True),
        ("exit", "RAISED", "SystemExit: 3.", True),
        ("interrupt", "RAISED", "KeyboardInterrupt.", True),
        ("memory", "RAISED", "MemoryError.", True),
        ("_exit", "RAISED", "fail's process ended with status 3.", False),
        ("segfault", "RAISED", "fail's process was ended by SIGSEGV.", False),
        ("kill", "RAISED", "fail's process was ended by SIGKILL.", False),
        ("garble", "RAISED", "fail's process gave an answer that makes no sense.", False),
    ],
)
async def test_whatever_a_function_does_is_its_calls_failure_and_the_next_call_works(
    service: Service, how: str, code: str, message: str, lives: bool
) -> None:
    before, _ = await service.call("count")
    with capture_logs():
        assert await service.call("fail", how=how) == ev.Failure(code, message)
        after, _ = await service.call("count")
    assert (after == before) == lives


async def test_a_function_that_forks_and_returns_twice_has_one_result(service: Service) -> None:
    for _ in range(3):
        assert await service.call("fork") == "parent"
        assert await service.call("add", a=1) == 3


@pytest.mark.parametrize("later", [False, True])
async def test_what_a_function_writes_in_the_workers_place_is_no_other_calls_result(
    service: Service, later: bool
) -> None:
    assert isinstance(await service.call("forge", later=later), str if later else ev.Failure)
    await asyncio.sleep(0.1 if later else 0)
    for number in range(4):
        assert await service.call("add", a=number, b=0) == number


async def test_a_worker_that_is_killed_from_outside_between_calls_is_replaced(service: Service) -> None:
    before, _ = await service.call("count")
    os.kill(before, signal.SIGKILL)
    await ended([before])
    after, number = await service.call("count")
    assert (after != before, number) == (True, 1)


async def test_a_function_that_hangs_is_killed_at_its_limit_and_the_next_call_works(service: Service) -> None:
    before, _ = await service.call("count")
    began = time.monotonic()
    failure = await service.call("hang")
    assert failure == ev.Failure("TIMEOUT", "hang was stopped: it worked for more than 0.3 s.")
    print(f"stopped {time.monotonic() - began - 0.3:.3f} s after its limit")  # 1 is asked for
    assert not is_running(before)
    assert (await service.call("count"))[1] == 1


async def test_a_write_that_was_killed_is_not_written_again(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "lines"
    codes = []
    for _ in range(2):
        log = Log()
        start = Start("hermes", ("write",), Mode.PARTIAL, Limits(), completion_id="r1")
        runner = service.host.open(start, log).runner
        runner.text(written("write", file=str(file), seconds=30.0))
        await end(runner)
        codes.append(log.failure().code)
    assert codes == ["TIMEOUT", "OUTCOME_UNKNOWN"]
    assert file.read_text() == "line\n"


async def test_a_long_result_is_cut_in_the_worker(service: Service) -> None:
    await service.call("count")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    finished = await service.finished("long_result", {"chars": 100_000_000}, max_result_chars=1000)
    assert finished.outcome == "\x01" * 1000 + "\n[cut at 1000 characters]"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


async def test_the_longest_result_that_may_be_is_passed_on_whole(service: Service) -> None:
    finished = await service.finished("long_result", {"chars": 4_000_000}, max_result_chars=4_000_000)
    assert finished.outcome == "\x01" * 4_000_000


@pytest.mark.parametrize("lines", [3, 5_000, pytest.param(100_000, marks=pytest.mark.slow)])
async def test_what_is_printed_goes_to_the_log_up_to_a_limit(service: Service, lines: int) -> None:
    with capture_logs() as logs:
        assert await service.call("loud", lines=lines) == "done"
        assert await service.call("loud", lines=1) == "done"  # a fresh allowance
    printed = [entry["text"] for entry in logs if entry["event"] == "printed"]
    assert printed[-2:] == ["x" * 999, "the last words"]
    assert sum(map(len, printed)) <= 2 * MAX_PRINTED_BYTES
    notices = [entry for entry in logs if entry["event"].startswith("printed too much")]
    assert [entry["tool"] for entry in notices] == (["loud"] if lines > 3 else [])
    assert printed.count("the last words") == (2 if lines == 3 else 1)


async def test_an_artifact_comes_with_its_bytes_or_a_notice(service: Service) -> None:
    runner, log = service.completion()
    runner.text(written("plot", size=1 << 20) + written("plot", size=3 << 20))
    await end(runner)
    await runner.aclose()
    assert [len(event.artifact.data) for event in log.of(ev.CallArtifact)] == [1 << 20]
    outcomes = {event.call_id: event.outcome for event in log.of(ev.CallFinished)}
    assert outcomes["call_1"] == "[plot.png: image/png, 1048576 bytes]\n"
    assert str(outcomes["call_2"]).startswith("[plot.png: 3145728 bytes; left out")


async def test_a_cancel_kills_the_worker_and_what_it_started(service: Service, tmp_path: Path) -> None:
    runner, ending, pids = await waiting(service, tmp_path / "pids")
    began = time.monotonic()
    ending.cancel()
    await runner.aclose()
    await ended(pids)
    print(f"gone {(time.monotonic() - began) * 1000:.0f} ms after the cancel")  # 200 are asked for
    assert await service.call("add", a=1) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what descends from a process")
async def test_what_left_the_group_is_killed_with_its_worker_all_the_same(service: Service, tmp_path: Path) -> None:
    failure = await service.call("leave_daemon", file=str(tmp_path / "pid"))
    assert failure.code == "TIMEOUT"
    await ended(await told(tmp_path / "pid"), 5.0)


async def test_what_a_finished_call_has_started_ends_with_its_worker(service: Service) -> None:
    child = await service.call("leave_child")
    worker, _ = await service.call("count")
    assert is_running(child)
    os.kill(worker, signal.SIGKILL)
    await ended([worker])
    await service.call("count")  # finds it dead, and its group alive
    await ended([child])


async def test_closing_the_host_ends_what_rests_and_what_runs(tmp_path: Path) -> None:
    before = children()
    service = Service(2)
    child = await service.call("leave_child")
    runner, ending, pids = await waiting(service, tmp_path / "pids")
    with capture_logs():
        await service.host.aclose()
        await ending
    await ended([child, *pids, *(children() - before)])
    await runner.aclose()
    assert (await service.call("add", a=1)).code == "RAISED"
    await ended(children() - before)


async def test_no_more_workers_than_there_are_places_and_waiting_for_one_is_no_work() -> None:
    service = Service(2)
    runner, log = service.completion()
    runner.text(written("doze", seconds=0.1) * 12)
    await end(runner)
    await runner.aclose()
    assert len({event.outcome for event in log.of(ev.CallFinished)}) == 2
    last = log.finished(11)
    assert last.queued >= 0.5  # five others before it in its worker
    assert last.busy < last.queued
    await service.host.aclose()


LOADS_SLOWLY = """
import sys, time
from tool_service.interface import tool

if "tool_service.worker" in sys.modules:
    time.sleep(0.6)

@tool
def quick() -> str:
    \"\"\"Take no time.\"\"\"
    return "done"
"""


async def test_starting_and_loading_is_no_work_either(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(LOADS_SLOWLY)
    service = Service(tools=str(tmp_path / "slow.py"))
    finished = await service.finished("quick", {}, call_timeout=0.5)
    assert finished.outcome == "done"
    assert finished.busy < 0.5 < finished.queued
    await service.host.aclose()


async def test_a_call_that_finds_no_worker_fails_within_its_time(service: Service, tmp_path: Path) -> None:
    runner, ending, pids = await waiting(service, tmp_path / "pids")
    failure = (await service.finished("add", {"a": 1}, call_timeout=0.1)).outcome
    assert isinstance(failure, ev.Failure)
    assert failure.code == "TIMEOUT"
    assert all(map(is_running, pids))
    ending.cancel()
    await runner.aclose()


async def test_a_warm_worker_is_ready_before_the_first_call(service: Service) -> None:
    before = children()
    await service.host.warm_up()
    (worker,) = children() - before
    assert (await service.call("count"))[0] == worker


async def test_a_source_that_has_gone_or_changed_is_said(tmp_path: Path) -> None:
    source = tmp_path / "mine.py"
    source.write_text(
        'from tool_service.interface import tool\n\n@tool\ndef mine(a: int) -> int:\n    """Mine."""\n    return a\n'
    )
    pool = WorkerPool(1)
    host = ToolHost(by_name(tools_of(str(source))), workers=pool)
    for change, said in (
        (lambda: source.write_text(source.read_text().replace("a: int", "a: str")), "has changed"),
        (lambda: source.write_text(source.read_text().replace("mine", "other")), "no longer has the tool mine"),
        (source.unlink, "cannot load"),
    ):
        change()
        log = Log()
        runner = host.open(Start("hermes", ("mine",), Mode.PARTIAL, Limits()), log).runner
        runner.text(written("mine", a=1))
        await end(runner)
        assert log.failure().code == "RAISED"
        assert said in log.failure().message
        await pool.aclose()
        host.workers = pool = WorkerPool(1)
    await host.aclose()


SERVES = """
import asyncio, json, sys, threading
import uvloop
from tool_service.execution.host import Start, ToolHost, by_name
from tool_service.execution.runner import Limits, Mode
from tool_service.tools.sources import tools_of

async def main():
    host = ToolHost(by_name(tools_of(sys.argv[1])))
    runner = host.open(Start("hermes", tuple(host.tools), Mode.PARTIAL, Limits()), lambda event: None).runner
    call = json.dumps({"name": "wait", "arguments": {"file": sys.argv[2]}})
    runner.text(f"<tool_call>{call}</tool_call>")
    await runner.end_turn("stop")

uvloop.run(main())
"""


async def test_however_the_service_ends_nothing_of_it_stays(tmp_path: Path) -> None:
    await asyncio.gather(*(ended_by(number, tmp_path) for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)))


async def ended_by(number: signal.Signals, folder: Path) -> None:
    file = folder / number.name
    service = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVES, TOOLS, str(file)),
        cwd=ROOT,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    worker, child = await told(file)
    assert os.getpgid(child) == os.getpgid(worker) == worker
    service.send_signal(number)
    await ended([worker, child])
    await service.wait()
    await ended(of_group(worker))


TIMES = pytest.mark.parametrize("times", [20, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])


@TIMES
async def test_no_orphan_after_random_cancels(times: int, tmp_path: Path) -> None:
    before, moments = children(), random.Random(1)
    service = Service(2)
    await service.call("count")
    for number in range(times):
        runner, _ = service.completion()
        runner.text(written("leave_child", folder=str(tmp_path)) * 2 + written("doze", seconds=1.0))
        ending = asyncio.create_task(end(runner))
        await a_moment(moments.uniform(0, 0.3), number, tmp_path)
        ending.cancel()
        await runner.aclose()
    assert await service.call("add", a=1) == 3
    await service.host.aclose()
    await ended(children() - before)
    await none_left(tmp_path)


@TIMES
async def test_no_orphan_after_random_kills(times: int, tmp_path: Path) -> None:
    before, moments = children(), random.Random(2)
    service = Service(2)
    await service.call("count")
    for number in range(times):
        runner, _ = service.completion()
        runner.text(written("leave_child", folder=str(tmp_path)) + written("doze", seconds=0.05))
        ending = asyncio.create_task(end(runner))
        await a_moment(moments.uniform(0, 0.1), number, tmp_path)
        for worker in children() - before:
            os.kill(worker, signal.SIGKILL)
        await ending
        await runner.aclose()
    assert await service.call("add", a=1) == 3
    await service.host.aclose()
    await ended(children() - before)
    await none_left(tmp_path)


async def a_moment(seconds: float, number: int, folder: Path) -> None:
    """Some time; in every fourth round, at least until another child of a worker is there."""
    there = len(list(folder.iterdir()))
    await asyncio.sleep(seconds)
    if number % 4 == 0:
        await until(lambda: len(list(folder.iterdir())) > there)


async def none_left(folder: Path) -> None:
    """Waits for the end of the children that workers have left: those that said so, and those that were about to."""
    left = with_command(str(folder))
    said = [int(path.name) for path in folder.iterdir()]
    assert said
    await ended({*left, *said})
