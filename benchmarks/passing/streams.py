"""The same completion straight from the decoder and through the gateway: what the gateway adds to each token.

The decoder says when it had decoded each token, on its own clock, and its log says when that clock began on the
machine's. So from the decoding of a token to its arrival at the client is one difference, whatever the step before
took. To the first token the gateway adds on both ways: on the way in, from the client to the beginning of that clock,
as well as on the way out.

The client is one process, and takes its time for what 16 streams say at once. It does on every way.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx
import numpy as np

from benchmarks.decoding.rounds import turned
from benchmarks.passing.services import House
from benchmarks.passing.sse import HttpStream
from benchmarks.workloads.overheads import beginnings
from gateway.wire import seconds
from protos.conveyor.decoder.v1 import decoder_pb2, decoder_pb2_grpc
from protos.conveyor.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from protos.rpc.context import REQUEST_ID, new_request_id

WORDS = ["river", "bridge", "letter", "boat", "seven", "copper", "window", "slowly", "under", "market", "quiet", "tea"]
PROMPT_WORDS = 8
EACH = 3  # completions of a client in a round
SECONDS = 120.0  # longest completion

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked on every way."""

    prompt: str
    replay: str
    most_tokens: int

    @classmethod
    def draw(cls, random: Random, words: int) -> "Asked":
        """With a prompt that nobody has had before, and so many words to say."""
        prompt, replay = (" ".join(random.choices(WORDS, k=count)) for count in (PROMPT_WORDS, words))
        return cls(prompt, replay, 4 * words)


@dataclass(slots=True)
class Heard:
    """What a client heard of one completion: when it asked, and for each text when it had been decoded, on the
    decoder's clock, and when it came. Seconds; all but `decoded` of the machine's monotonic clock."""

    request_id: str = field(default_factory=new_request_id)
    asked: float = field(default_factory=time.monotonic)
    decoded: list[float] = field(default_factory=list)
    came: list[float] = field(default_factory=list)

    def delays(self, began: float) -> Iterator[float]:
        """Seconds from decoding to the client, of each text; of the first, with those to the decoder."""
        way_in = began - self.asked
        for place, (decoded, came) in enumerate(zip(self.decoded, self.came, strict=True)):
            yield came - began - decoded + (0.0 if place else way_in)


@dataclass(frozen=True, slots=True)
class Way:
    """Seconds on one way: of each first token, in and out; of each later one, out."""

    first: list[float] = field(default_factory=list)
    later: list[float] = field(default_factory=list)

    def add(self, heard: Heard, began: float) -> None:
        """One more completion."""
        first, *later = heard.delays(began)
        self.first.append(first)
        self.later.extend(later)

    def milliseconds(self, name: str, share: float) -> float:
        """A percentile of `first` or `later`."""
        return float(np.percentile(getattr(self, name), share)) * 1e3

    def as_json(self) -> dict[str, Any]:
        """The figures as data."""
        figures = {
            f"{name}_p{share}": round(self.milliseconds(name, share), 3)
            for name in ("first", "later")
            for share in (50, 99)
        }
        return {"tokens": len(self.first) + len(self.later), **figures}


async def straight(house: House, asked: Asked) -> Heard:
    """From the decoder."""
    start = decoder_pb2.Start(
        messages=[decoder_pb2.Message(role="user", content=asked.prompt)],
        replay=[asked.replay],
        limits=decoder_pb2.Limits(max_tokens=asked.most_tokens, max_turns=1),
    )
    heard = Heard()
    call = decoder_pb2_grpc.DecoderServiceStub(house.decoder).Generate(timeout=SECONDS, metadata=_id(heard))
    await call.write(decoder_pb2.GenerateRequest(start=start))
    await call.done_writing()
    async for event in call:
        if event.HasField("text_delta"):
            heard.came.append(time.monotonic())
            heard.decoded.append(seconds(event.at))
    return heard


async def by_grpc(house: House, asked: Asked) -> Heard:
    """Through the gateway, over gRPC."""
    request = gateway_pb2.CompleteRequest(
        messages=[gateway_pb2.Message(role="user", content=asked.prompt)],
        replay=[asked.replay],
        limits=gateway_pb2.Limits(max_tokens=asked.most_tokens, max_turns=1),
    )
    heard = Heard()
    stub = gateway_pb2_grpc.GatewayServiceStub(house.gateway)
    async for event in stub.Complete(request, timeout=SECONDS, metadata=_id(heard)):
        if event.HasField("text_delta"):
            heard.came.append(time.monotonic())
            heard.decoded.append(seconds(event.at))
    return heard


async def by_http(house: House, asked: Asked) -> Heard:
    """Through the gateway, as OpenAI's chat completion over HTTP."""
    body = {
        "model": "any",
        "messages": [{"role": "user", "content": asked.prompt}],
        "stream": True,
        "max_tokens": asked.most_tokens,
        "conveyor": {"replay": [asked.replay], "max_turns": 1},
    }
    heard = Heard()
    async with HttpStream(house.http, "/v1/chat/completions", body, heard.request_id) as stream:
        heard.asked = time.monotonic()  # clients keep their connections, as those of gRPC do
        stream.ask()
        await stream.begun()
        async for came, data in stream.events():
            if b'"content":"' in data and b'"content":""' not in data:
                heard.came.append(came)
    return heard


WAYS: Mapping[str, Callable[[House, Asked], Awaitable[Heard]]] = {
    "straight": straight,
    "gRPC": by_grpc,
    "HTTP": by_http,
}


async def run_streams(house: House, count: int, words: int, rounds: int, report: Report) -> dict[str, Way]:
    """So many clients on each way in turn, after a round that is not counted. Raises grpc.aio.AioRpcError.

    Each asks for one completion after the other, so that most begin while the others' stream.
    """
    found = {name: Way() for name in WAYS}
    for number in range(rounds + 1):
        for name in turned(list(WAYS), number):
            report(f"{count} streams, round {number} of {rounds}: {name}")
            random = Random(f"{number} {name}")
            asked = [[Asked.draw(random, _around(random, words)) for _ in range(EACH)] for _ in range(count)]
            clients = (_client(house, WAYS[name], random.random(), each) for each in asked)
            heard = [each for some in await asyncio.gather(*clients) for each in some]
            if name == "HTTP":
                await asyncio.gather(*(_look_up(house, each) for each in heard))
            if number:
                began = beginnings(house.logs / "decoder.log")
                for each in heard:
                    found[name].add(each, began[each.request_id])
    return found


async def _client(
    house: House, way: Callable[[House, Asked], Awaitable[Heard]], after: float, asked: list[Asked]
) -> list[Heard]:
    await asyncio.sleep(after)
    return [await way(house, each) for each in asked]


def _around(random: Random, words: int) -> int:
    """So many, more or less: clients are not to ask in step."""
    return random.randint(words // 2, words * 3 // 2)


async def _look_up(house: House, heard: Heard) -> None:
    """When its texts had been decoded: OpenAI's chunks do not say so, and the gateway's own record does."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://{house.http}/v1/completions/{heard.request_id}")
    events = answer.raise_for_status().json()["events"]
    heard.decoded = [each["at_seconds"] for each in events if each.get("text_delta", {}).get("text")]


def _id(heard: Heard) -> tuple[tuple[str, str], ...]:
    return ((REQUEST_ID, heard.request_id),)
