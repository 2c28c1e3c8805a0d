"""Asks a gateway at random, so many requests at a time, and counts what comes back."""

import asyncio
import time
from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import grpc

from benchmarks.soaking.requests import Ask, draw
from protos.rpc.errors import Reason, from_rpc_error

if TYPE_CHECKING:
    from protos.conveyor.gateway.v1 import gateway_pb2_grpc

MOST_RETRY_SECONDS = 2.0
SHOWN_FAULTS = 20


class Load:
    """`workers` ask one request after the other; every `burst_every` seconds, `burst` more come at once, which are more
    than the decoder takes. `outcomes` counts by kind and how it ended; `faults` are answers that were wrong."""

    def __init__(
        self, stub: "gateway_pb2_grpc.GatewayServiceAsyncStub", seed: int, workers: int, burst: int, burst_every: float
    ) -> None:
        self._stub = stub
        self._random = Random(seed)
        self._workers, self._burst, self._burst_every = workers, burst, burst_every
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.faults: list[str] = []
        self.fault_count = 0

    @property
    def refused(self) -> int:
        """Requests that the decoder had no place for."""
        return sum(count for (_, outcome), count in self.outcomes.items() if outcome == Reason.OVERLOADED)

    @property
    def done(self) -> int:
        """Requests that have ended, however they did."""
        return self.outcomes.total()

    async def run(self, seconds: float) -> None:
        """Asks for so long, then waits for the last answers. Cancelling it cancels all requests."""
        end = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work(Random(self._random.random()), end))
            group.create_task(self._bursts(end))

    async def ask(self, ask: Ask) -> None:
        """Asks one, and counts how it ended."""
        try:
            outcome = await self._outcome(ask)
        except Exception as error:
            outcome = type(error).__name__
            self._fault(f"{ask.kind}: {type(error).__name__}: {error}")
        self.outcomes[ask.kind, outcome] += 1
        if outcome == Reason.OVERLOADED:
            await asyncio.sleep(self._random.uniform(0.2, MOST_RETRY_SECONDS))

    async def _work(self, random: Random, end: float) -> None:
        while time.monotonic() < end:
            await self.ask(draw(random))

    async def _bursts(self, end: float) -> None:
        while (left := end - time.monotonic()) > 0:
            await asyncio.gather(*(self.ask(draw(self._random)) for _ in range(self._burst)))
            await asyncio.sleep(min(self._burst_every, max(0.0, left)))

    async def _outcome(self, ask: Ask) -> str:
        call = self._stub.Complete(ask.request, timeout=ask.seconds)
        text, events = "", 0
        try:
            async for event in call:
                text += event.text_delta.text
                events += 1
                if ask.cancel_after is not None and events > ask.cancel_after:
                    return "cancelled"
        except grpc.aio.AioRpcError as error:
            return self._refusal(ask, error)
        finally:
            call.cancel()
        if not ask.check(text):
            self._fault(f"{ask.kind}: wrong answer {text[:200]!r}")
        return "OK"

    def _refusal(self, ask: Ask, error: grpc.aio.AioRpcError) -> str:
        told = from_rpc_error(error, Reason.INTERNAL)
        if told.reason is not Reason.OVERLOADED and told.reason not in ask.refusals:
            self._fault(f"{ask.kind}: {told.reason}: {told.message}")
        return told.reason

    def _fault(self, text: str) -> None:
        self.fault_count += 1
        if len(self.faults) < SHOWN_FAULTS:
            self.faults.append(text)
