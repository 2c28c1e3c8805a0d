"""The tool service as a process of its own: how it ends while a function works in a worker, and what it remembers."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import grpc
import pytest

from gateway.cli.processes import free_addresses
from protos.conveyor.tool.v1 import tool_pb2, tool_pb2_grpc
from tests.integration.commands import AT_ONCE
from tests.processes import ended, told

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / "tests/unit/tool_service/execution/worker_tools.py"
BOUND = 30.0


class Service:
    """`python -m tool_service` with `worker_tools.py`."""

    def __init__(self, folder: Path) -> None:
        (self.address,) = free_addresses(1)
        self._folder = folder

    async def __aenter__(self) -> "Service":
        with (self._folder / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tool_service", "--address", self.address, "--metrics-address", ""),
                *("--modules", str(TOOLS), "--state-folder", str(self._folder / "state"), "--grace-seconds", "0.2"),
                *("--python.preload", ""),  # nothing that takes time to import
                cwd=ROOT,
                stderr=log,
            )
        self._channel = grpc.aio.insecure_channel(self.address, options=AT_ONCE)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    def execute(self, name: str, request_id: str = "r1", **arguments: object) -> "Execute":
        stub = tool_pb2_grpc.ToolServiceStub(self._channel)
        text = f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"

        async def commands():
            yield tool_pb2.ExecuteRequest(start=tool_pb2.Start(format="hermes", tools=[name]))
            yield tool_pb2.ExecuteRequest(text_delta=tool_pb2.TextDelta(text=text))
            yield tool_pb2.ExecuteRequest(turn_end=tool_pb2.TurnEnd(reason=tool_pb2.TURN_END_REASON_STOP))

        return stub.Execute(commands(), metadata=(("x-request-id", request_id),), wait_for_ready=True, timeout=BOUND)

    async def call(self, name: str, **arguments: object) -> tool_pb2.CallFinished:
        async for event in self.execute(name, **arguments):
            if event.HasField("call_finished"):
                return event.call_finished
        raise AssertionError("the call did not finish")


Execute = grpc.aio.StreamStreamCall[tool_pb2.ExecuteRequest, tool_pb2.ExecuteResponse]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_a_service_that_ends_in_the_middle_of_a_call_leaves_no_process(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with Service(tmp_path) as service:
        running = asyncio.create_task(service.call("wait", file=str(tmp_path / "pids")))
        pids = await told(tmp_path / "pids")
        service.process.send_signal(number)
        async with asyncio.timeout(BOUND):
            status = await service.process.wait()
        await ended(pids)
        with pytest.raises(grpc.aio.AioRpcError):
            await running
    assert status == (0 if number != signal.SIGKILL else -signal.SIGKILL)
    assert b"Traceback" not in (tmp_path / "log").read_bytes()


async def test_a_client_that_leaves_ends_the_worker_of_its_call(tmp_path: Path) -> None:
    async with Service(tmp_path) as service:
        running = asyncio.create_task(service.call("wait", file=str(tmp_path / "pids")))
        pids = await told(tmp_path / "pids")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await ended(pids)
        assert (await service.call("add", request_id="r2", a=1)).result == "3"


async def test_a_service_that_is_started_anew_knows_what_was_done(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    async with Service(tmp_path) as service:
        assert (await service.call("write", file=str(file))).result == "written"
        service.process.kill()
    async with Service(tmp_path) as service:
        assert (await service.call("write", file=str(file))).result == "written"
        assert (await service.call("write", file=str(file), request_id="r2")).result == "written"
        assert (await service.call("write", file=str(tmp_path / "other"))).error.code == "KEY_REUSED"
    assert file.read_text() == "line\n" * 2


async def test_a_state_folder_that_cannot_be_written_is_logged_and_nothing_acts(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("not a folder")
    async with Service(tmp_path) as service:
        assert (await service.call("write", file=str(tmp_path / "lines"))).error.code == "RAISED"
        assert (await service.call("add", a=1)).result == "3"
        service.process.terminate()
        await service.process.wait()
    assert not (tmp_path / "lines").exists()
    log = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [entry["event"] for entry in log if entry["level"] == "error"] == ["calls that change the world will fail"]
    assert os.fspath(tmp_path / "state") in next(entry["cause"] for entry in log if entry["level"] == "error")
