"""What streaming to the tools costs: from a token's decoding to the tool's hands, and processor time for each token.

**Time.** The tool `stopwatch` says when it was given each piece, on the machine's monotonic clock. The decoder says
when its engine had decoded it, since the completion began; its log says when that was on the machine's clock.

**Processor time.** The same text is decoded with a tool that takes it piece by piece, and without tools. What tool
service, gateway and the decoder's own process take more with tools than without is transport and parsing; what the
engine's process takes is decoding.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.soaking.watch import descendants
from benchmarks.workloads.rounds import Report, WrongResultError
from benchmarks.workloads.stack import COMPLETION_SECONDS, Stack
from benchmarks.workloads.suite.codegen import CODEGEN
from benchmarks.workloads.workload import called
from gateway.message_json import seconds
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.conveyor.gateway.v1 import gateway_pb2_grpc
from protos.rpc.context import REQUEST_ID, new_request_id

CONCURRENT = (1, 8, 32)
_SCHEDULED = 2  # CPUCLOCK_SCHED of Linux: the clock of a process that runs on processors (man 3 clock_getcpuclockid)
TEXT = " ".join(["river bridge letter boat copper window under market quiet tea"] * 8)
PROGRAM = "\n".join(f"value_{line} = [number * {line} for number in range(10)]" for line in range(8))
REPLAYS = {"stopwatch": called("stopwatch", text=TEXT), "sink": called("sink", code=PROGRAM)}


@dataclass(frozen=True, slots=True)
class Overhead:
    """With so many completions at once. `to_tool`: milliseconds from decoding to the tool's hands; `cpu`: microseconds
    of processor time for a token, by part."""

    concurrent: int
    tokens: int
    to_tool_p50: float
    to_tool_p99: float
    decoding_cpu: float
    transport_cpu: float
    gateway_cpu: float

    @property
    def transport_share(self) -> float:
        """Of transport and parsing, in what decoding takes."""
        return self.transport_cpu / self.decoding_cpu

    def as_json(self) -> dict[str, Any]:
        """The figures as data."""
        return asdict(self) | {"transport_share": self.transport_share}


async def run_overheads(stack: Stack, concurrent: Sequence[int], rounds: int, report: Report) -> list[Overhead]:
    """Measures. Raises like `run_rounds`."""
    await stack.settle({})
    await stack.complete(CODEGEN.request("partial"))  # when it has ended, the fork server has all that it imports
    for tool in ("stopwatch", "sink", ""):
        await _at_once(stack, _request(tool), 1)  # the prompt's keys and values are there from now on
    found = []
    for count in concurrent:
        report(f"overheads: {count} at once")
        timed = [await _at_once(stack, _request("stopwatch"), count) for _ in range(rounds)]
        began = beginnings(stack.logs / "decoder.log")
        delays = [
            delay
            for completions in timed
            for request_id, responses in completions.items()
            for delay in delays_of(responses, began[request_id])
        ]
        found.append(await _overhead(stack, count, delays, rounds))
    return found


async def _overhead(stack: Stack, count: int, delays: list[float], rounds: int) -> Overhead:
    with_tools, without = [], []
    for _ in range(rounds):
        with_tools.append(await _processor_time(stack, _request("sink"), count))
        without.append(await _processor_time(stack, _request(""), count))
    streaming, plain = (_median(each) for each in (with_tools, without))
    return Overhead(
        concurrent=count,
        tokens=len(delays),
        to_tool_p50=statistics.median(delays) * 1e3,
        to_tool_p99=float(np.percentile(delays, 99)) * 1e3,
        decoding_cpu=streaming["engine"] * 1e6,
        transport_cpu=sum(streaming[name] - plain[name] for name in ("tools", "decoder", "gateway")) * 1e6,
        gateway_cpu=plain["gateway"] * 1e6,
    )


def beginnings(log: Path) -> dict[str, float]:
    """When each completion began, by its id: seconds of the machine's monotonic clock."""
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines() if '"monotonic"' in line]
    return {line["request_id"]: line["monotonic"] for line in lines}


def delays_of(responses: list[pb.CompleteResponse], began: float) -> Iterator[float]:
    """Seconds from decoding to the tool's hands, of each piece; see above."""
    prefix = REPLAYS["stopwatch"].index(TEXT)
    decoded: dict[int, float] = {}  # when the text was so long
    length = 0
    told: list[tuple[float, int]] = []  # when the tool had so much of its argument
    for response in responses:
        match response.WhichOneof("event"):
            case "text_delta":
                before, length = length, length + len(response.text_delta.text)
                decoded |= dict.fromkeys(range(before + 1, length + 1), seconds(response.at))
            case "call_output":
                for line in response.call_output.text.splitlines():
                    nanoseconds, count = map(int, line.split())
                    told.append((nanoseconds / 1e9, count))
    for at, count in told:
        if count < len(TEXT):  # the last piece may have come with what follows it
            yield at - began - decoded[prefix + count]


def _request(tool: str) -> pb.CompleteRequest:
    use = pb.ToolUse(format="hermes", tools=[tool], mode=pb.MODE_PARTIAL) if tool else None
    return pb.CompleteRequest(
        messages=[pb.Message(role="user", content="Say it.")],
        tool_use=use,
        limits=pb.Limits(max_tokens=1024, max_turns=1),
        replay=[REPLAYS[tool or "sink"]],
    )


async def _at_once(stack: Stack, request: pb.CompleteRequest, count: int) -> dict[str, list[pb.CompleteResponse]]:
    """So many completions, by their ids."""
    stub = gateway_pb2_grpc.GatewayServiceStub(stack.channel)
    ids = [new_request_id() for _ in range(count)]

    async def one(request_id: str) -> list[pb.CompleteResponse]:
        call = stub.Complete(request, timeout=COMPLETION_SECONDS, metadata=((REQUEST_ID, request_id),))
        responses = [response async for response in call]
        failed = [each.call_finished.error.message for each in responses if each.call_finished.HasField("error")]
        if failed or not responses[-1].HasField("finished"):
            raise WrongResultError(f"overheads: {failed or 'the completion did not end'}")
        return responses

    return dict(zip(ids, await asyncio.gather(*map(one, ids)), strict=True))


async def _processor_time(stack: Stack, request: pb.CompleteRequest, count: int) -> dict[str, float]:
    """Seconds of each process for a token."""
    processes = _processes(stack)
    before = {name: _used(pid) for name, pid in processes.items()}
    completions = await _at_once(stack, request, count)
    used = {name: _used(pid) - before[name] for name, pid in processes.items()}
    tokens = sum(each[-1].finished.usage.completion_tokens for each in completions.values())
    return {name: seconds_used / tokens for name, seconds_used in used.items()}


def _processes(stack: Stack) -> dict[str, int]:
    services = stack.process_ids()
    _, engine = descendants(services["decoder"])  # its only child
    return services | {"engine": engine}


def _used(process_id: int) -> float:
    """Processor seconds of all threads of a process, those that have ended too, without its children."""
    return time.clock_gettime((~process_id << 3) | _SCHEDULED)


def _median(samples: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(each[name] for each in samples) for name in samples[0]}
