"""The three services as processes of their own, over a world, in their places."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from benchmarks.workloads.observed import Observed, observe
from benchmarks.workloads.placement import Placement
from benchmarks.workloads.suite.calculator import CALCULATOR
from benchmarks.workloads.tools import WAREHOUSE
from benchmarks.workloads.world import World
from gateway.cli.plan import Flags, Plan
from gateway.cli.processes import Services, free_addresses
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.conveyor.gateway.v1 import gateway_pb2_grpc

READY_SECONDS = 30.0  # for the services to find one another
RETRY_SECONDS = 0.2
CACHE_GIB = 1.0  # 45,000 tokens of the default model; all of it is taken at the start
COMPLETION_SECONDS = 300.0  # longest completion


@dataclass
class Stack:
    """Services that run. The tool service is started anew where a workload needs it with other settings."""

    world: World
    placement: Placement
    logs: Path
    flags: Flags
    channel: grpc.aio.Channel
    steady: Services
    tools: Services | None = None
    _settings: Mapping[tuple[str, str], str] = field(default_factory=dict)

    async def complete(self, request: pb.CompleteRequest) -> Observed:
        """Runs a completion to its end. Raises grpc.aio.AioRpcError."""
        stub = gateway_pb2_grpc.GatewayServiceStub(self.channel)
        return await observe(stub.Complete(request, timeout=COMPLETION_SECONDS))

    async def settle(self, settings: Mapping[tuple[str, str], str]) -> None:
        """Has a tool service with these settings. Raises Failure where it does not start."""
        if self.tools is not None and settings == self._settings:
            return
        if self.tools is not None:
            await self.tools.stop()
        self._settings = settings
        self.tools = _services({**self.flags, **settings}, ("tools",), self.placement, self.logs)
        await self.tools.start()
        await self.tools.wait_healthy()
        await self.steady.wait_healthy()  # the gateway is where it has found decoder and tools
        async with asyncio.timeout(READY_SECONDS):
            await _until_reached(self.channel)

    def process_ids(self) -> dict[str, int]:
        """The process of each service."""
        return self.steady.process_ids | (self.tools.process_ids if self.tools else {})


@contextlib.asynccontextmanager
async def open_stack(model: str, world: World, placement: Placement, folder: Path) -> AsyncIterator[Stack]:
    """Starts them, and stops them with the block. Raises Failure where one does not start."""
    flags = _flags(model, world, placement, folder)
    steady = _services(flags, ("decoder", "gateway"), placement, folder / "logs")
    async with steady, grpc.aio.insecure_channel(flags["gateway", "address"]) as channel:
        stack = Stack(world, placement, folder / "logs", flags, channel, steady)
        try:
            await stack.settle({})
            yield stack
        finally:
            if stack.tools is not None:
                await stack.tools.stop()


def _services(flags: Flags, names: tuple[str, ...], placement: Placement, logs: Path) -> Services:
    planned = Plan(flags).services()
    return Services([placement.pinned(service) for service in planned if service.name in names], logs)


def _flags(model: str, world: World, placement: Placement, folder: Path) -> Flags:
    gateway, decoder, tools, http = free_addresses(4)
    if world.warehouse:
        os.environ[WAREHOUSE] = world.warehouse  # for the tools of `benchmarks.workloads.tools`
    return {
        ("gateway", "address"): gateway,
        ("gateway", "http-address"): http,
        ("decoder", "address"): decoder,
        ("decoder", "metrics-address"): "",
        ("decoder", "log-level"): "debug",  # it says when each completion began (`overheads.py`)
        ("decoder", "model"): model,
        ("decoder", "threads"): str(placement.threads),
        ("decoder", "kv-cache-gib"): str(CACHE_GIB),
        ("tools", "address"): tools,
        ("tools", "metrics-address"): "",
        ("tools", "state-folder"): str(folder / "state"),
        ("tools", "modules"): "benchmarks.workloads.tools",
        ("tools", "search.url"): world.search,
        ("tools", "sql.database"): str(world.shop),
        ("tools", "local-news.feed"): str(world.news),
        ("tools", "python.interpreters"): "32",
        ("tools", "search.limit"): "2",
    }


async def _until_reached(channel: grpc.aio.Channel) -> None:
    """Until the decoder has found the tools again: the gateway may have found them before it."""
    stub = gateway_pb2_grpc.GatewayServiceStub(channel)
    while True:
        with contextlib.suppress(grpc.aio.AioRpcError):
            await observe(stub.Complete(CALCULATOR.request("partial"), timeout=READY_SECONDS))
            return
        await asyncio.sleep(RETRY_SECONDS)
