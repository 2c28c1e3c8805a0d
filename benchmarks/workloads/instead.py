"""What people have instead: an OpenAI-compatible server, and a loop on the client that runs the tools.

The server is vLLM's, from `make peers`, on the cores of our decoder and with the weights of the same model (in bf16,
for it has no kernels for fewer bits on a CPU). The loop is what agent frameworks do: ask, read the calls out of the
answer, run them all at once, append the results, ask again. The tools are those of the same tool service.

A server without replay cannot be made to say a text, so it decodes as many tokens as the text has, and the text is put
in the place of what it said. It is stopped while others are measured.
"""

import asyncio
import contextlib
import os
import signal
import statistics
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
from tokenizers import Tokenizer

from benchmarks.decoding.decoders import ENVIRONMENTS, NOT_INHERITED, PEERS, find_model, made, vllm_threads
from benchmarks.workloads.placement import Placement
from benchmarks.workloads.rounds import Report
from benchmarks.workloads.stack import Stack
from benchmarks.workloads.workload import Workload
from gateway.cli.processes import free_addresses
from protos.conveyor.tool.v1 import tool_pb2, tool_pb2_grpc
from protos.rpc.channel import open_channel
from protos.rpc.context import RequestContext, new_request_id
from protos.rpc.leash import leashed

CONTEXT = 2048
LOAD_SECONDS = 300.0
ANSWER_SECONDS = 120.0
Message = dict[str, str]


class NoServerError(Exception):
    """There is nothing to compare with here; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Loop:
    """One workload by server and loop; medians, in seconds."""

    workload: str
    trials: int
    completion_seconds: float
    decode_seconds: float
    tool_seconds: float

    def as_json(self) -> dict[str, Any]:
        """The figures as data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Lap:
    completion: float
    decode: float


@dataclass(frozen=True, slots=True)
class Server:
    """vLLM's server. It runs only inside `running`."""

    process: Process
    client: httpx.AsyncClient
    model: str
    tokenizer: Tokenizer

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """While the block lasts."""
        os.killpg(self.process.pid, signal.SIGCONT)
        try:
            yield
        finally:
            os.killpg(self.process.pid, signal.SIGSTOP)

    async def decode(self, messages: Sequence[Message], text: str) -> None:
        """Decodes as many tokens as the text has. Raises httpx.HTTPError."""
        await self.decode_count(messages, len(self.tokenizer.encode(text, add_special_tokens=False).ids))

    async def decode_count(self, messages: Sequence[Message], count: int) -> None:
        """Decodes so many tokens. Raises httpx.HTTPError, and NoServerError where it has decoded others."""
        chosen = {"max_tokens": count, "ignore_eos": True, "temperature": 0}
        body = {"model": self.model, "messages": messages, **chosen}
        answer = await self.client.post("/v1/chat/completions", json=body)
        answer.raise_for_status()
        decoded = answer.json()["usage"]["completion_tokens"]
        if decoded != count:
            raise NoServerError(f"vLLM decoded {decoded} tokens instead of {count}")


@contextlib.asynccontextmanager
async def open_server(name: str, placement: Placement, log: Path) -> AsyncIterator[Server]:
    """Starts it, and ends it with the block. Raises NoServerError."""
    if "vllm" not in made(ENVIRONMENTS):
        raise NoServerError("vLLM has no environment: run `make peers PEERS=vllm`")
    model = find_model(name, None)
    (address,) = free_addresses(1)
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *leashed(signal.SIGKILL, *_command(model.directory, address, placement)),
            stdin=DEVNULL,
            stdout=output,
            stderr=output,
            env=_environment(placement),
            process_group=0,
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://{address}", timeout=ANSWER_SECONDS) as client:
            await _until_ready(client, process, log)
            os.killpg(process.pid, signal.SIGSTOP)
            yield Server(process, client, model.directory, Tokenizer.from_file(f"{model.directory}/tokenizer.json"))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def run_loops(
    stack: Stack, server: Server, workloads: Sequence[Workload], rounds: int, report: Report
) -> list[Loop]:
    """Each workload, its prompt being in the server's cache as in ours.

    Raises NoServerError, httpx.HTTPError, grpc.aio.AioRpcError.
    """
    found = []
    await stack.settle({})
    for workload in workloads:
        laps = []
        with server.running():
            await _lap(stack, server, workload, warming=True)
        for number in range(rounds):
            report(f"server and loop: {workload.name}, round {number + 1} of {rounds}")
            await asyncio.to_thread(stack.world.reset)
            with server.running():
                laps.append(await _lap(stack, server, workload))
        completions, decodes = ([getattr(lap, name) for lap in laps] for name in ("completion", "decode"))
        completion, decode = statistics.median(completions), statistics.median(decodes)
        found.append(Loop(workload.name, rounds, completion, decode, completion - decode))
    return found


async def _lap(stack: Stack, server: Server, workload: Workload, *, warming: bool = False) -> _Lap:
    """`warming`: only the first prompt is computed."""
    began, decoding = time.monotonic(), 0.0
    async with open_channel(stack.flags["tools", "address"]) as channel:
        tools = _Tools(tool_pb2_grpc.ToolServiceStub(channel))
        instructions = await tools.start(workload)
        messages: list[Message] = [
            {"role": "system", "content": f"{workload.system}\n{instructions}"},
            {"role": "user", "content": workload.question},
        ]
        if warming:
            await server.decode_count(messages, 1)
            return _Lap(0.0, 0.0)
        for text in workload.replay:
            asked = time.monotonic()
            await server.decode(messages, text)
            decoding += time.monotonic() - asked
            messages.append({"role": "assistant", "content": text})
            if results := await tools.run(text):
                messages.append({"role": "user", "content": "\n".join(results)})
        await tools.close()
    return _Lap(time.monotonic() - began, decoding)


class _Tools:
    """The tool service, as a client's loop uses it: a whole turn at a time, its calls all at once."""

    def __init__(self, stub: "tool_pb2_grpc.ToolServiceAsyncStub") -> None:
        context = RequestContext(new_request_id())
        self._call = stub.Execute(timeout=ANSWER_SECONDS, metadata=context.metadata())

    async def start(self, workload: Workload) -> str:
        """Gives what the model is to be told of the tools."""
        start = tool_pb2.Start(format=workload.call_format, tools=workload.tools, mode=tool_pb2.MODE_PARALLEL)
        await self._call.write(tool_pb2.ExecuteRequest(start=start))
        return (await anext(aiter(self._call))).started.instructions

    async def run(self, text: str) -> list[str]:
        """The results of a turn's calls."""
        await self._call.write(tool_pb2.ExecuteRequest(text_delta=tool_pb2.TextDelta(text=text)))
        end = tool_pb2.TurnEnd(reason=tool_pb2.TURN_END_REASON_STOP)
        await self._call.write(tool_pb2.ExecuteRequest(turn_end=end))
        results = []
        async for response in self._call:
            if response.HasField("call_finished"):
                finished = response.call_finished
                results.append(finished.result or finished.error.message)
            if response.HasField("turn_finished"):
                return results
        raise NoServerError("the tool service ended the stream before the turn's end")

    async def close(self) -> None:
        """Ends the stream."""
        await self._call.done_writing()


def _command(directory: str, address: str, placement: Placement) -> list[str]:
    host, _, port = address.rpartition(":")
    python = str(ENVIRONMENTS / "vllm" / "bin" / "python")  # its command wants another package's name
    options = {
        "model": directory,
        "host": host,
        "port": port,
        "dtype": "bfloat16",
        "max-model-len": CONTEXT,
        "max-num-seqs": 32,
    }
    flags = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return [*placement.prefix(placement.decoder), python, "-m", "vllm.entrypoints.openai.api_server", *flags]


def _environment(placement: Placement) -> Mapping[str, str]:
    inherited = {key: value for key, value in os.environ.items() if key not in NOT_INHERITED}
    return (
        inherited
        | dict(PEERS["vllm"].environment)
        | vllm_threads(ENVIRONMENTS / "vllm", sorted(placement.decoder))
        | {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    )


async def _until_ready(client: httpx.AsyncClient, process: Process, log: Path) -> None:
    deadline = time.monotonic() + LOAD_SECONDS
    while True:
        if process.returncode is not None or time.monotonic() > deadline:
            raise NoServerError(f"vLLM did not start: {log.read_text(errors='replace')[-2000:]}")
        with contextlib.suppress(httpx.TransportError):
            if (await client.get("/health")).is_success:
                return
        await asyncio.sleep(0.2)
