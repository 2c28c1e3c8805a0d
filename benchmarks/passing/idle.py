"""What the gateway holds for streams that say nothing: completions that wait for a tool."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.passing.services import House
from benchmarks.passing.sse import HttpStream
from benchmarks.passing.streams import Report
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.conveyor.gateway.v1 import gateway_pb2_grpc
from protos.rpc.context import REQUEST_ID, new_request_id

SECONDS = 600.0  # longest completion
OPEN_AT_ONCE = 32
SETTLED_SECONDS = 2.0
CALL = '<tool_call>\n{{"name": "idle_until_stopped", "arguments": {{"note": "{note}"}}}}\n</tool_call>'
PROMPT = "Wait."
HTTP_PATH = "/v1/chat/completions"

Leave = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Idle:
    """Of so many streams: bytes of the gateway's process before and with them."""

    streams: int
    before_bytes: int
    with_bytes: int

    @property
    def grown_bytes(self) -> int:
        """What they take."""
        return self.with_bytes - self.before_bytes

    def as_json(self) -> dict[str, Any]:
        """The figures as data."""
        return asdict(self) | {"grown_bytes": self.grown_bytes}


def request(note: str) -> pb.CompleteRequest:
    """A completion that waits for the tool until somebody stops it."""
    return pb.CompleteRequest(
        messages=[pb.Message(role="user", content=PROMPT)],
        tool_use=pb.ToolUse(format="hermes", tools=["idle_until_stopped"]),
        replay=[CALL.format(note=note)],
        limits=pb.Limits(max_tokens=64, max_turns=2),
    )


def body(note: str) -> dict[str, Any]:
    """The same as a chat completion."""
    return {
        "model": "any",
        "messages": [{"role": "user", "content": PROMPT}],
        "tools": [{"type": "conveyor", "name": "idle_until_stopped"}],
        "stream": True,
        "max_tokens": 64,
        "conveyor": {"replay": [CALL.format(note=note)], "max_turns": 2},
    }


@contextlib.asynccontextmanager
async def by_grpc(house: House, note: str) -> AsyncIterator[Leave]:
    """Until the tool runs; leaving the block leaves the gateway."""
    stub = gateway_pb2_grpc.GatewayServiceStub(house.gateway)
    call = stub.Complete(request(note), timeout=SECONDS, metadata=((REQUEST_ID, note),))
    try:
        while isinstance(event := await call.read(), pb.CompleteResponse) and not event.HasField("call_started"):
            pass
        yield call.cancel
    finally:
        call.cancel()


@contextlib.asynccontextmanager
async def by_http(house: House, note: str) -> AsyncIterator[Leave]:
    """The same over HTTP. A chat says nothing of its tools, so the block is entered when its stream has begun."""
    async with HttpStream(house.http, HTTP_PATH, body(note), note) as stream:
        stream.ask()
        await stream.begun()
        yield stream.close


WAYS = {"gRPC": by_grpc, "HTTP": by_http}


async def run_idle(house: House, way: str, count: int, report: Report) -> Idle:
    """Opens so many, looks, and leaves them."""
    gateway = house.process_ids["gateway"]
    before = _resident(gateway)
    opening = asyncio.Semaphore(OPEN_AT_ONCE)
    opened, leave = 0, asyncio.Event()
    every = asyncio.Event()

    async def one() -> None:
        nonlocal opened
        async with contextlib.AsyncExitStack() as stack:
            async with opening:
                await stack.enter_async_context(WAYS[way](house, new_request_id()))
            opened += 1
            report(f"{opened} of {count} idle streams over {way}")
            if opened == count:
                every.set()
            await leave.wait()

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(one())
        await every.wait()
        await asyncio.sleep(SETTLED_SECONDS)
        held = _resident(gateway)
        leave.set()
    return Idle(count, before, held)


def _resident(process_id: int) -> int:
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))
