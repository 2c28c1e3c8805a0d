"""The decoder as a process of its own, and its engine's process: neither outlives the other."""

import asyncio
import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from decoder_service.engine.process import _ended
from decoder_service.models.loader import LoadedModel
from gateway.cli.processes import free_addresses
from protos.conveyor.decoder.v1 import decoder_pb2 as pb
from protos.conveyor.decoder.v1 import decoder_pb2_grpc
from tests.integration.commands import AT_ONCE
from tests.processes import children, command_line, ended, until

ROOT = Path(__file__).parents[2]
BOUND = 60.0
pytestmark = [pytest.mark.timeout(240), pytest.mark.usefixtures("model")]  # the model may have to be converted first


class Service:
    """`python -m decoder_service` in a process group of its own."""

    def __init__(self, folder: Path, *flags: str) -> None:
        (self.address,) = free_addresses(1)
        self._log = folder / "log"
        self._flags = flags

    async def __aenter__(self) -> "Service":
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "decoder_service", "--address", self.address, "--metrics-address", ""),
                *("--kv-cache-gib", "0.25", "--grace-seconds", "0.2", *self._flags),
                cwd=ROOT,
                stderr=log,
                process_group=0,
            )
        self._channel = grpc.aio.insecure_channel(self.address, options=AT_ONCE)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()

    async def engine(self) -> int:
        """The engine's process, as soon as it is tied to the service and loads. There is no other child."""
        await until(lambda: any(map(_is_engine, children(self.process.pid))))
        (pid,) = children(self.process.pid)
        return pid

    async def decode(self) -> AsyncIterator[pb.GenerateResponse]:
        """A completion that takes minutes."""
        start = pb.Start(messages=[pb.Message(role="user", content="Hi")], limits=pb.Limits(max_tokens=8000))
        start.replay.append("and so on " * 2500)
        call = decoder_pb2_grpc.DecoderServiceStub(self._channel).Generate(wait_for_ready=True, timeout=BOUND)
        await call.write(pb.GenerateRequest(start=start))
        async for event in call:
            if event.HasField("text_delta"):
                yield event

    async def status(self) -> int:
        async with asyncio.timeout(BOUND):
            return await self.process.wait()

    def log(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in self._log.read_text().splitlines()]


def _is_engine(pid: int) -> bool:
    command = command_line(pid)
    return "decoder_service.engine" in command and "leash" not in command


async def test_a_service_whose_engine_is_killed_fails_its_completions_and_ends(tmp_path: Path) -> None:
    async with Service(tmp_path) as service:
        deltas = service.decode()
        await anext(deltas)
        os.kill(await service.engine(), signal.SIGKILL)
        with pytest.raises(grpc.aio.AioRpcError, match="the engine has stopped") as failed:
            async for _ in deltas:
                pass
        assert failed.value.code() == grpc.StatusCode.INTERNAL
        assert await service.status() == 1
        assert service.log()[-1]["cause"] == "the engine's process was ended by SIGKILL; out of memory?"


async def test_ctrl_c_on_a_terminal_drains_the_service_and_then_ends_its_engine(
    tmp_path: Path, small_model: LoadedModel
) -> None:
    small_model.model.save_pretrained(tmp_path / "small")
    small_model.tokenizer.save_pretrained(tmp_path / "small")
    async with Service(tmp_path, "--model", str(tmp_path / "small")) as service:
        deltas = service.decode()
        await anext(deltas)
        engine = await service.engine()
        os.killpg(service.process.pid, signal.SIGINT)
        await anext(deltas)  # the engine goes on while the service drains
        with pytest.raises(grpc.aio.AioRpcError):
            async for _ in deltas:
                pass
        assert await service.status() == 0
        await ended([engine])
        assert "stopped" in [entry["event"] for entry in service.log()]
        assert {entry["level"] for entry in service.log()} == {"info"}


@pytest.mark.slow
async def test_an_engine_ends_with_a_service_that_is_killed_while_it_decodes(tmp_path: Path) -> None:
    async with Service(tmp_path) as service:
        await anext(service.decode())
        engine = await service.engine()
        service.process.kill()
        await ended([engine])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_an_engine_ends_with_a_service_that_is_ended_while_it_loads(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with Service(tmp_path) as service:
        engine = await service.engine()
        service.process.send_signal(number)
        status = await service.status()
        await ended([engine], seconds=BOUND)
        assert status == (130 if number == signal.SIGINT else -number)
        assert service.log() == []


async def test_why_there_is_no_engine_is_in_the_services_log(tmp_path: Path) -> None:
    async with Service(tmp_path, "--model", str(tmp_path / "nothing")) as service:
        assert await service.status() == 1
        (entry,) = service.log()
        assert (entry["event"], entry["level"]) == ("cannot start", "error")
        assert entry["cause"].startswith(f"{tmp_path / 'nothing'}: ")


async def test_an_engine_that_ends_while_it_loads_ends_the_service(tmp_path: Path) -> None:
    async with Service(tmp_path) as service:
        os.kill(await service.engine(), signal.SIGKILL)
        assert await service.status() == 1
        assert [entry["cause"] for entry in service.log()] == [
            "the engine's process was ended by SIGKILL; out of memory?"
        ]


async def test_an_engine_that_does_not_end_is_killed() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=PIPE)
    assert await _ended(process, 0.05) == -signal.SIGKILL


async def test_an_engine_is_killed_when_nobody_waits_for_its_end() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=PIPE)
    waiting = asyncio.create_task(_ended(process, BOUND))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert await process.wait() == -signal.SIGKILL


def test_the_services_own_process_needs_neither_torch_nor_the_weights(model: LoadedModel) -> None:
    program = """
import pickle, sys
import decoder_service.__main__
from decoder_service.text.template import ChatTemplate, Message
template = ChatTemplate(pickle.load(sys.stdin.buffer))
print(template.prompt([Message("user", "Hi")], "", []))
print([name for name in ("torch", "accelerate", "safetensors", "llguidance") if name in sys.modules])
"""
    said = subprocess.run(
        [sys.executable, "-c", program], input=pickle.dumps(model.text), cwd=ROOT, capture_output=True, timeout=BOUND
    )
    assert said.returncode == 0, said.stderr
    prompt, loaded = map(json.loads, said.stdout.splitlines())
    assert model.tokenizer.decode(prompt).endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
    assert loaded == []
