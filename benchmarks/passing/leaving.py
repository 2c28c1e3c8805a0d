"""From a client that leaves to what is free: the decoder's sequence, and the tool.

The tool notes on the machine's clock when it was stopped. The decoder's metrics are asked again and again until no
sequence is there, so what they say is late by up to one question.
"""

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.passing.idle import WAYS
from benchmarks.passing.services import House
from benchmarks.passing.streams import Report
from protos.rpc.context import new_request_id

LONGEST_SECONDS = 10.0  # that freeing may take
SEQUENCES = b"conveyor_decoder_sequences{"


@dataclass(frozen=True, slots=True)
class Leaving:
    """Seconds of each try."""

    slots: list[float] = field(default_factory=list)
    tools: list[float] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Milliseconds."""
        return {
            f"{name}_p{share}": round(float(np.percentile(getattr(self, name), share)) * 1e3, 2)
            for name in ("slots", "tools")
            for share in (50, 99)
        }


class NotFreedError(Exception):
    """Something was still there."""


async def run_leaving(house: House, way: str, tries: int, stops: Path, report: Report) -> Leaving:
    """Asks, leaves, and looks. Raises NotFreedError."""
    found = Leaving()
    for number in range(tries):
        report(f"leaving over {way}, {number + 1} of {tries}")
        note = new_request_id()
        async with WAYS[way](house, note) as leave:
            await _until_parked(house)
            left = time.monotonic()
            leave()
            await _until_free(house)
            found.slots.append(time.monotonic() - left)
        found.tools.append(await _stopped(stops, note) - left)
    return found


async def _until_parked(house: House) -> None:
    async with asyncio.timeout(LONGEST_SECONDS):
        while await _sequences(house, b'state="parked"') != 1:
            pass
        await asyncio.sleep(0.05)  # for the tool, whose call has just been sealed


async def _until_free(house: House) -> None:
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            while await _sequences(house):
                pass
    except TimeoutError:
        raise NotFreedError("a sequence was still there") from None


async def _stopped(stops: Path, note: str) -> float:
    """When the tool was stopped."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < deadline:
        for line in stops.read_text().splitlines() if stops.exists() else ():
            if line.startswith(f"{note} ") and line.count(" ") == 1:
                return int(line.partition(" ")[2]) / 1e9
        await asyncio.sleep(0.01)
    raise NotFreedError("a tool was not stopped")


async def _sequences(house: House, state: bytes = b"") -> int:
    host, _, port = house.metrics.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
    answer = await reader.read()
    writer.close()
    lines = (line for line in answer.splitlines() if line.startswith(SEQUENCES) and state in line)
    return int(sum(float(line.rpartition(b" ")[2]) for line in lines))
