"""Sessions that stream from a decoder at the same time, and when each of their tokens came."""

import asyncio
import itertools
import time
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from protos.conveyor.decoder.v1 import decoder_pb2 as pb

if TYPE_CHECKING:
    from protos.conveyor.decoder.v1 import decoder_pb2_grpc

WORDS = ["river", "bridge", "letter", "boat", "seven", "copper", "window", "slowly", "under", "market", "quiet", "tea"]
PROMPT_WORDS = 8
DEADLINE_SECONDS = 120.0


class TooShortError(Exception):
    """The sessions did not all decode at the same time."""


@dataclass(frozen=True, slots=True)
class Streamed:
    """Of the time in which every session decoded: `rate`, tokens a second of all together, and milliseconds between two
    tokens of a session as they reach the client."""

    rate: float
    p50: float
    p99: float

    @classmethod
    def of(cls, arrivals: list[list[float]]) -> "Streamed":
        """`arrivals`: for each session the seconds at which its tokens came. Raises TooShortError."""
        begin, end = max(times[0] for times in arrivals), min(times[-1] for times in arrivals)
        inside = [[moment for moment in times if begin <= moment <= end] for times in arrivals]
        gaps = sorted(after - before for times in inside for before, after in itertools.pairwise(times))
        if len(gaps) < 100:
            raise TooShortError(f"{len(gaps)} gaps between tokens; give the sessions more tokens")
        percentiles = [gaps[len(gaps) * share // 100] * 1000 for share in (50, 99)]
        return cls(len(gaps) / (end - begin), *percentiles)


async def stream(stub: "decoder_pb2_grpc.DecoderServiceAsyncStub", count: int, tokens: int, seed: int) -> Streamed:
    """So many sessions at once, each of about so many tokens, all replayed: the forward passes are real."""
    random = Random(seed)
    requests = [_request(random, tokens) for _ in range(count)]
    return Streamed.of(await asyncio.gather(*(_session(stub, request) for request in requests)))


def _request(random: Random, tokens: int) -> pb.GenerateRequest:
    prompt = " ".join(random.choices(WORDS, k=PROMPT_WORDS))
    start = pb.Start(
        messages=[pb.Message(role="user", content=prompt)],
        replay=[" ".join(random.choices(WORDS, k=tokens))],
        limits=pb.Limits(max_tokens=4 * tokens, max_turns=1),
    )
    return pb.GenerateRequest(start=start)


async def _session(stub: "decoder_pb2_grpc.DecoderServiceAsyncStub", request: pb.GenerateRequest) -> list[float]:
    times = []
    call = stub.Generate(timeout=DEADLINE_SECONDS)
    await call.write(request)
    await call.done_writing()
    async for event in call:
        if event.HasField("text_delta"):
            times += [time.perf_counter()] * len(event.text_delta.token_ids)
    return times
