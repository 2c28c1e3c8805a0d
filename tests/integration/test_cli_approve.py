"""`conveyor approve`, and `conveyor ask` when a call waits: in a pipe, as JSON, and on a terminal."""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import struct
import termios
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf import duration_pb2

from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.conveyor.gateway.v1 import gateway_pb2_grpc
from protos.rpc import handler
from protos.rpc.errors import Reason, ServiceError
from tests.integration.commands import BOUND, CLI, ROOT, conveyor, in_this_process, serving, start


class FakeGateway(gateway_pb2_grpc.GatewayServiceServicer):
    """Each completion makes `calls` calls that wait, all at once."""

    def __init__(self) -> None:
        self.calls = 1
        self.words: list[pb.ApproveRequest] = []
        self.address = ""
        self.ended = asyncio.Event()
        self._decided: dict[str, asyncio.Future[bool]] = {}

    @handler.streaming
    async def Complete(self, request: pb.CompleteRequest) -> AsyncIterator[pb.CompleteResponse]:
        try:
            async for response in self._respond():
                yield response
        finally:
            self.ended.set()

    async def _respond(self) -> AsyncIterator[pb.CompleteResponse]:
        ids = [f"call_{number + 1}" for number in range(self.calls)]
        yield pb.CompleteResponse(turn_started=pb.TurnStarted())
        for call_id in ids:
            self._decided[call_id] = asyncio.get_running_loop().create_future()
            yield pb.CompleteResponse(call_opened=pb.CallOpened(call_id=call_id, name="send"))
            awaited = pb.ApprovalAwaited(
                call_id=call_id,
                request_id="r1",
                arguments_json='{"to": "ada\\u001b[2J"}',
                timeout=duration_pb2.Duration(seconds=120),
            )
            yield pb.CompleteResponse(approval_awaited=awaited)
        for call_id in ids:
            error = None if await self._decided[call_id] else pb.ToolError(code="DENIED", message="no")
            finished = pb.CallFinished(call_id=call_id, error=error) if error else pb.CallFinished(call_id=call_id)
            if not error:
                finished.result = "sent"
            yield pb.CompleteResponse(call_finished=finished)
        yield pb.CompleteResponse(finished=pb.Finished(request_id="r1", finish_reason=pb.FINISH_REASON_STOP))

    @handler.unary
    async def Approve(self, request: pb.ApproveRequest) -> pb.ApproveResponse:
        if request.call_id not in self._decided or self._decided[request.call_id].done():
            raise ServiceError(Reason.NOT_AWAITED, "no such call waits here to be allowed.")
        self.words.append(request)
        self._decided[request.call_id].set_result(request.approved)
        return pb.ApproveResponse()


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    fake = FakeGateway()
    async with serving(gateway_pb2_grpc.add_GatewayServiceServicer_to_server, fake) as fake.address:
        yield fake


async def line_with(stream: asyncio.StreamReader, part: str) -> str:
    async with asyncio.timeout(BOUND):
        while part not in (line := (await stream.readline()).decode()):
            assert line, f"{part} never came"
    return line.strip()


@pytest.mark.parametrize("shape", [(), ("--json",), ("--json-stream",)])
async def test_in_a_pipe_somebody_else_allows_it_with_the_command_that_is_shown(
    gateway: FakeGateway, shape: tuple[str, ...]
) -> None:
    asking = await start("ask", "Hi", "--tools", "send", "--gateway", gateway.address, *shape)
    assert asking.stderr is not None
    shown = await line_with(asking.stderr, "conveyor approve")
    assert shown == f"[send] to allow it: conveyor approve r1 call_1 --gateway {gateway.address}"
    words = shown.partition("conveyor ")[2].split()
    assert await conveyor(*words) == (0, "allowed\n", "")
    output, _ = await asking.communicate()
    assert asking.returncode == 0
    assert gateway.words == [pb.ApproveRequest(request_id="r1", call_id="call_1", approved=True)]
    if shape == ("--json",):
        assert json.loads(output)["calls"][0]["result"] == "sent"
    if shape == ("--json-stream",):
        events = [json.loads(line) for line in output.decode().splitlines()]
        awaited = next(event for event in events if event["event"] == "approval_awaited")
        assert (awaited["request_id"], awaited["call_id"], awaited["timeout_seconds"]) == ("r1", "call_1", 120.0)


async def test_a_call_is_refused_with_a_reason(gateway: FakeGateway) -> None:
    asking = await start("ask", "Hi", "--tools", "send", "--gateway", gateway.address)
    assert asking.stderr is not None
    await line_with(asking.stderr, "conveyor approve")
    command = ("approve", "r1", "call_1", "--deny", "--reason", "not today", "--gateway", gateway.address)
    status, output, _ = await conveyor(*command, "--json")
    assert (status, json.loads(output)) == (0, {"request_id": "r1", "call_id": "call_1", "approved": False})
    await asking.communicate()
    assert gateway.words[0].reason == "not today"
    status, output, errors = await conveyor(*command, "--json")
    assert (status, json.loads(output)["error"]["reason"]) == (1, "NOT_AWAITED")
    assert errors.startswith("error: NOT_AWAITED: no such call waits here to be allowed.\nName a call that waits")


@pytest.mark.parametrize(("answer", "approved"), [("yes", True), ("no", False)])
async def test_the_answer_may_be_given_beforehand(gateway: FakeGateway, answer: str, approved: bool) -> None:
    gateway.calls = 2
    status, output, errors = await conveyor(
        *("ask", "Hi", "--tools", "send", "--approve", answer, "--json", "--gateway", gateway.address)
    )
    assert (status, errors) == (0, "")
    assert [word.approved for word in gateway.words] == [approved] * 2
    assert [call.get("result") for call in json.loads(output)["calls"]] == ["sent" if approved else None] * 2


@pytest.mark.parametrize(
    "wrong",
    [
        ("approve",),
        ("approve", "r1"),
        ("approve", "r1", "call_1", "--reason", "why"),
        ("approve", "r1", os.fsdecode(b"\xff")),
        ("ask", "Hi", "--approve", "perhaps"),
    ],
)
def test_wrong_usage_exits_2(wrong: tuple[str, ...]) -> None:
    status, output, errors = in_this_process(*wrong)
    assert (status, output) == (2, "")
    assert "Traceback" not in errors


# --- on a terminal --------------------------------------------------------------------------------------------------


class Terminal:
    """A pseudo-terminal with `conveyor ask` on it."""

    def __init__(self) -> None:
        self.ours, self.theirs = os.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.before = termios.tcgetattr(self.theirs)
        self.screen = ""
        self._news = asyncio.Event()
        os.set_blocking(self.ours, False)
        asyncio.get_running_loop().add_reader(self.ours, self._read)

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *("setsid", "--ctty", *CLI, *arguments),  # so that Ctrl-C is a signal
            cwd=ROOT,
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"},
        )

    async def until(self, text: str, times: int = 1) -> None:
        async with asyncio.timeout(BOUND):
            while self.screen.count(text) < times:
                self._news.clear()
                await self._news.wait()

    def type(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    @property
    def settings(self) -> list[Any]:
        return termios.tcgetattr(self.theirs)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.ours)
        os.close(self.ours)
        os.close(self.theirs)

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            self.screen += os.read(self.ours, 65536).decode("utf-8", "replace")
            self._news.set()


@pytest.fixture
async def terminal() -> AsyncIterator[Terminal]:
    opened = Terminal()
    yield opened
    opened.close()


async def waited(process: asyncio.subprocess.Process) -> int:
    async with asyncio.timeout(BOUND):
        return await process.wait()


@pytest.mark.parametrize(("key", "approved"), [("y", True), ("N", False)])
async def test_on_a_terminal_a_key_answers(gateway: FakeGateway, terminal: Terminal, key: str, approved: bool) -> None:
    asking = await terminal.start("ask", "Hi", "--tools", "send", "--gateway", gateway.address)
    terminal.type("y")  # before there is a question: no answer
    await terminal.until("allow it? y / n")
    assert '{"to": "ada' in terminal.screen
    assert "\x1b[2J" not in terminal.screen
    assert " left" in terminal.screen
    terminal.type("x")
    terminal.type("\x1b[A")  # an arrow
    await terminal.until("allow it? y / n", times=terminal.screen.count("allow it? y / n") + 2)
    assert gateway.words == []
    terminal.type(key)
    assert await waited(asking) == 0
    assert [word.approved for word in gateway.words] == [approved]
    assert terminal.settings == terminal.before


async def test_calls_are_asked_about_one_after_the_other(gateway: FakeGateway, terminal: Terminal) -> None:
    gateway.calls = 2
    asking = await terminal.start("ask", "Hi", "--tools", "send", "--gateway", gateway.address)
    await terminal.until("allow it? y / n")
    await terminal.until("send 2")
    terminal.type("y")
    async with asyncio.timeout(BOUND):
        while not gateway.words:  # noqa: ASYNC110 - the fake tells nobody
            await asyncio.sleep(0.005)
    seen = terminal.screen.count("allow it? y / n")
    await terminal.until("allow it? y / n", seen + 2)
    assert [word.call_id for word in gateway.words] == ["call_1"]
    terminal.type("n")
    assert await waited(asking) == 0
    assert [(word.call_id, word.approved) for word in gateway.words] == [("call_1", True), ("call_2", False)]
    assert terminal.settings == terminal.before


async def test_ctrl_c_at_the_question_cancels_and_gives_the_terminal_back(
    gateway: FakeGateway, terminal: Terminal
) -> None:
    asking = await terminal.start("ask", "Hi", "--tools", "send", "--gateway", gateway.address)
    await terminal.until("allow it? y / n")
    terminal.type("\x03")
    assert await waited(asking) == 130
    await asyncio.wait_for(gateway.ended.wait(), BOUND)
    assert gateway.words == []
    assert terminal.settings == terminal.before


async def test_somebody_else_may_answer_the_question_first(gateway: FakeGateway, terminal: Terminal) -> None:
    asking = await terminal.start("ask", "Hi", "--tools", "send", "--gateway", gateway.address)
    await terminal.until("allow it? y / n")
    assert (await conveyor("approve", "r1", "call_1", "--gateway", gateway.address))[0] == 0
    assert await waited(asking) == 0
    assert terminal.settings == terminal.before


async def test_a_terminated_command_gives_the_terminal_back(gateway: FakeGateway, terminal: Terminal) -> None:
    asking = await terminal.start("ask", "Hi", "--tools", "send", "--gateway", gateway.address)
    await terminal.until("allow it? y / n")
    asking.send_signal(signal.SIGTERM)
    assert await waited(asking) == 130
    assert terminal.settings == terminal.before
