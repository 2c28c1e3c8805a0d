"""Servers that are processes, and behave."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import uvloop
from structlog.testing import capture_logs

from tests.processes import ended, is_running, until
from tests.unit.tool_service.tools.mcp.honest_server import PIXEL
from tests.unit.tool_service.tools.mcp.running import BOUND, FOLDER, Offered, honest, lying, serving
from tool_service.execution import events as ev
from tool_service.interface import Artifact, Effect
from tool_service.tools.mcp import server
from tool_service.tools.mcp.child import LineSplitter
from tool_service.tools.mcp.server import McpError

ROOT = Path(__file__).parents[5]
on_the_shared_loop = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("honest")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(folder: Path) -> AsyncIterator[Offered]:
    """What a server offers that takes a while to start, and is there for every test that leaves it alive."""
    async with serving(honest=honest(env={"GREETING": "hello"}, cwd=str(folder))) as offered:
        yield offered


@on_the_shared_loop
async def test_tools_are_offered_with_the_servers_schemas_and_called_when_sealed(shared: Offered, folder: Path) -> None:
    tool = shared.tools["honest_add"]
    assert tool.description == "Add two numbers."
    assert tool.signature.json_schema["properties"]["a"] == {"title": "A", "type": "integer"}
    assert not any(tool.starts_early for tool in shared.tools.values())
    assert await shared.outcome("honest_add", a=1, b=2) == "3"
    assert await shared.outcome("honest_add", a=1) == "2", "what the model leaves out is not sent"

    wrong = await shared.outcome("honest_add", a="1")
    assert wrong == ev.Failure("INVALID_ARGUMENTS", 'argument \'a\': "1" is not of type "integer".')
    unknown = await shared.outcome("honest_add", c=1)
    assert unknown == ev.Failure("INVALID_ARGUMENTS", "unknown argument 'c'; the arguments are: a, b.")

    where, variables, greeting = str(await shared.outcome("honest_where")).splitlines()
    assert where == str(folder)
    assert greeting == "hello"
    assert "PATH" in variables
    assert "PYTEST_CURRENT_TEST" in os.environ
    assert "PYTEST" not in variables

    failed = await shared.outcome("honest_fail")
    assert isinstance(failed, ev.Failure)
    assert failed.code == "RAISED"
    assert "McpError" not in failed.message
    assert "no luck today" in failed.message

    assert await shared.outcome("honest_count", steps=2) == "[1/2] step 1\n[2/2] step 2\ndone"
    await until_learnt(shared)


async def until_learnt(offered: Offered) -> None:
    assert "honest_fail" in offered.tools
    assert await offered.use("honest_learn") == ["learnt"]
    await offered.until(lambda: "honest_unlearn" in offered.tools)
    assert "honest_fail" not in offered.tools


@on_the_shared_loop
async def test_content_becomes_text_and_artifacts(shared: Offered) -> None:
    pieces = await shared.use("honest_show")
    told = str(await shared.outcome("honest_show"))
    assert pieces == [
        "a pixel\n",
        Artifact("image-2.png", "image/png", PIXEL),
        Artifact("audio-3.wav", "audio/wav", PIXEL),
        "to be\n",
        Artifact("4-notes.md", "text/markdown", b"to be"),
        Artifact("5-7", "application/octet-stream", PIXEL),
        "[poem: file:///poem.txt]",
    ]
    assert told.splitlines() == [
        "a pixel",
        "[image-2.png: image/png, 70 bytes]",
        "[audio-3.wav: audio/wav, 70 bytes]",
        "to be",
        "[4-notes.md: text/markdown, 5 bytes]",
        "[5-7: application/octet-stream, 70 bytes]",
        "[poem: file:///poem.txt]",
    ]


async def test_the_calls_key_goes_along_and_its_trace_where_it_has_one() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with serving(liar=lying("meta")) as offered:
        sent = json.loads(str(await offered.outcome("liar_plain")))
        (traced,) = await offered.use("liar_plain", traceparent=trace)
    assert sent["conveyor/idempotency-key"] == "c1/call_1" and "traceparent" not in sent
    told = json.loads(str(traced))
    assert (told["conveyor/idempotency-key"], told["traceparent"]) == ("key", trace)


HINTED = ["honest_add", "honest_where", "honest_wait"]


@on_the_shared_loop
async def test_hints_are_not_believed(shared: Offered) -> None:
    assert {shared.tools[name].effect for name in HINTED} == {Effect.WRITE}


async def test_hints_are_believed_of_trusted_servers() -> None:
    async with serving(honest=honest(trusted=True, only=["add", "where", "wait"])) as offered:
        assert list(offered.tools) == HINTED
        assert {tool.effect for tool in offered.tools.values()} == {Effect.READ, Effect.IDEMPOTENT, Effect.WRITE}


@on_the_shared_loop
async def test_a_cancelled_call_is_cancelled_in_the_server(shared: Offered, tmp_path: Path) -> None:
    runner, log = shared.start("honest_wait", folder=str(tmp_path))
    await until(lambda: ev.CallOutput("call_1", "[0/1] waiting\n") in log.events)
    await runner.aclose()
    await until((tmp_path / "cancelled").exists)
    assert await shared.outcome("honest_add", a=1) == "2", "the server goes on"


async def test_a_dying_server_fails_its_calls_at_once_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "OUTAGE_SECONDS", BOUND)  # it takes a while to start on a busy machine
    async with serving(honest=honest()) as offered:
        waiting = asyncio.create_task(offered.use("honest_wait", folder=str(tmp_path)))
        await until((tmp_path / "began").exists)
        (pid,) = await offered.use("honest_spawn")
        with pytest.raises(McpError, match="ended while the call ran; what the call did is not known"):
            await offered.use("honest_die", status=3)
        await ended([int(str(pid))])  # it takes along what it started
        with pytest.raises(McpError, match="ended while the call ran"):
            await waiting
        assert "honest_add" in offered.tools, "its tools stay offered"
        assert await offered.use("honest_add", a=1) == ["2"], "a call waits for it to come back"


async def test_a_server_ends_with_all_that_it_started() -> None:
    async with serving(honest=honest()) as offered:
        (pid,) = await offered.use("honest_spawn")
        assert is_running(int(str(pid)))
    await ended([int(str(pid))])


def test_a_server_ends_with_a_service_that_is_killed() -> None:
    service = textwrap.dedent("""
        import uvloop
        from tests.unit.tool_service.tools.mcp.running import lying, serving
        async def main():
            async with serving(liar=lying("mute", start_seconds=60)):
                pass
        uvloop.run(main())
    """)
    process = subprocess.Popen([sys.executable, "-c", service], cwd=ROOT)
    try:
        mark = str(FOLDER / "lying_server.py")
        children = found_in_time(lambda: descendants(process.pid, mark))
    finally:
        process.kill()
        process.wait()
    assert children
    asyncio.run(ended(children))


def found_in_time(condition: Callable[[], Any]) -> Any:
    asyncio.run(until(condition))
    return condition()


def descendants(pid: int, mark: str) -> list[int]:
    """Processes below one whose command line holds a text, once the one that was started through another is there."""
    below, waiting = [], [pid]
    while waiting:
        path = Path(f"/proc/{waiting.pop()}")
        for children in path.glob("task/*/children"):
            found = [int(child) for child in children.read_text().split()]
            below += found
            waiting += found
    marked = [each for each in below if mark in Path(f"/proc/{each}/cmdline").read_text()]
    return marked if len(marked) == 2 else []  # the launcher and the server


async def test_a_server_that_cannot_start_says_why_and_the_others_serve() -> None:
    broken = lying("plain").model_copy(update={"command": ["/no/such/program"]})
    failing = lying("plain").model_copy(update={"command": [sys.executable, "-c", "import no_such_module"]})
    with capture_logs() as logs:
        async with serving(broken=broken, failing=failing, liar=lying("plain")) as offered:
            assert list(offered.tools) == ["liar_plain"]
            assert await offered.use("liar_plain") == ["fine"]
    causes = {line["server"]: line["cause"] for line in logs if line["event"] == "mcp server away"}
    assert "No such file or directory: '/no/such/program'" in causes["broken"]
    assert "exited with status 1" in causes["failing"]
    assert "No module named 'no_such_module'" in causes["failing"]


async def test_a_server_that_comes_up_late_is_offered_then(tmp_path: Path) -> None:
    flag = tmp_path / "ready"
    command = ["sh", "-c", f'test -e {flag} && exec "$@"', "sh", *lying("plain").command]
    async with serving(late=lying("plain").model_copy(update={"command": command})) as offered:
        assert offered.tools == {}
        flag.touch()
        await offered.until(lambda: "late_plain" in offered.tools)
        assert await offered.use("late_plain") == ["fine"]


async def killed_and_started_again() -> None:
    async with serving(liar=lying("plain")) as offered:
        seen = offered.listings
        for _ in range(3):
            (killed,) = [pid for pid in descendants(os.getpid(), "lying_server.py") if "launcher" not in cmdline(pid)]
            os.kill(killed, signal.SIGKILL)
            await offered.until(lambda: offered.listings > seen)  # noqa: B023 - it is over before the next round
            seen = offered.listings
            assert await offered.use("liar_plain") == ["fine"]


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])  # the service runs on the latter
def test_a_server_that_is_killed_is_started_again(run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
    run(killed_and_started_again())


def cmdline(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_lines_come_whole_however_they_are_cut(size: int) -> None:
    text = b"one\n\ntwo\nthree"
    splitter = LineSplitter(5)
    assert [line for at in range(0, len(text), size) for line in splitter.feed(text[at : at + size])] == [
        b"one",
        b"",
        b"two",
    ]
    assert splitter.feed(b"\n") == [b"three"]


def test_a_line_has_a_longest_length() -> None:
    splitter = LineSplitter(5)
    assert splitter.feed(b"12345") == []
    with pytest.raises(ValueError, match="more than 5 bytes"):
        splitter.feed(b"6")
