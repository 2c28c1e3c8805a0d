"""Those who are admitted, with and without four times as many as can be."""

import asyncio
import time
from dataclasses import dataclass, field
from random import Random
from typing import Any

import grpc
import numpy as np

from benchmarks.passing.services import House
from benchmarks.passing.streams import Asked, Report
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.conveyor.gateway.v1 import gateway_pb2_grpc
from protos.rpc.errors import Reason, from_rpc_error

SECONDS = 120.0  # longest completion
TIMES = 4


@dataclass(frozen=True, slots=True)
class Load:
    """Seconds of each completion that was admitted, and of each refusal."""

    admitted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Milliseconds."""
        figures: dict[str, Any] = {"admitted": len(self.admitted), "refused": len(self.refused)}
        for name in ("admitted", "refused"):
            for share in (50, 99) if getattr(self, name) else ():
                figures[f"{name}_p{share}"] = round(float(np.percentile(getattr(self, name), share)) * 1e3, 2)
        return figures


async def run_overload(house: House, places: int, words: int, rounds: int, report: Report) -> dict[str, Load]:
    """As many clients as there are places, and `TIMES` as many, in turn; each asks again as soon as it may."""
    found = {"full": Load(), "overloaded": Load()}
    for number in range(rounds + 1):
        for name, clients in (("full", places), ("overloaded", places * TIMES)):
            report(f"overload, round {number} of {rounds}: {clients} clients for {places} places")
            load = found[name] if number else Load()
            end = time.monotonic() + SECONDS / 12
            await asyncio.gather(
                *(_client(house, Random(f"{number} {name} {each}"), words, end, load) for each in range(clients))
            )
    return found


async def _client(house: House, random: Random, words: int, end: float, load: Load) -> None:
    stub = gateway_pb2_grpc.GatewayServiceStub(house.gateway)
    while time.monotonic() < end:
        asked = Asked.draw(random, words)
        request = pb.CompleteRequest(
            messages=[pb.Message(role="user", content=asked.prompt)],
            replay=[asked.replay],
            limits=pb.Limits(max_tokens=asked.most_tokens, max_turns=1),
        )
        began = time.monotonic()
        try:
            async for _ in stub.Complete(request, timeout=SECONDS):
                pass
        except grpc.aio.AioRpcError as error:
            told = from_rpc_error(error, Reason.INTERNAL)
            if told.reason is not Reason.OVERLOADED or told.retry_seconds is None:
                raise
            load.refused.append(time.monotonic() - began)
            await asyncio.sleep(told.retry_seconds * random.uniform(1, 1.5))
        else:
            load.admitted.append(time.monotonic() - began)
