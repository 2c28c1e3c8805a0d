"""Text of many completions by one stream from each process of the decoder (`DecoderService.Listen`).

A message costs some hundred microseconds of both processes, whatever is in it. With one for each completion and token,
16 streams waited longer for their tokens than they may (docs/gateway.md). A completion's other events come by its own
stream, at the pace at which its client takes them; its text comes at the decoder's, and is put together while the
client is slow: what waits is bounded by the text.
"""

import asyncio
import itertools
import secrets
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import grpc

from protos.conveyor.decoder.v1 import decoder_pb2, decoder_pb2_grpc
from protos.rpc.growing import grown
from protos.rpc.instances import PerInstance

OPEN_SECONDS = 5.0
MOST_ALONE = 64  # texts that wait for a client; from then on they are put together

_Call = grpc.aio.UnaryStreamCall[decoder_pb2.ListenRequest, decoder_pb2.ListenResponse]


@dataclass(slots=True)
class Text:
    """What has come for one completion and was not taken yet. `news` is set when something comes, and when a stream is
    lost."""

    told_as: int
    news: asyncio.Event = field(default_factory=asyncio.Event)
    # With the number of the last event that is in each.
    _waiting: deque[tuple[decoder_pb2.GenerateResponse, int]] = field(default_factory=deque)

    def hear(self, event: decoder_pb2.GenerateResponse) -> None:
        """One more."""
        number = event.number
        if len(self._waiting) >= MOST_ALONE and self._grows(event):
            event = self._waiting.pop()[0]
        self._waiting.append((event, number))
        self.news.set()

    def take(self, number: int) -> tuple[decoder_pb2.GenerateResponse, int] | None:
        """The event of this number, and the number that follows what is in it; None where it is not here."""
        if not self._waiting or self._waiting[0][0].number != number:
            return None
        event, last = self._waiting.popleft()
        return event, last + 1

    def _grows(self, event: decoder_pb2.GenerateResponse) -> bool:
        """Adds the event to the last one that waits, where nothing has been said between the two."""
        last, number = self._waiting[-1]
        return event.number == number + 1 and grown(last, event)


class Ear:
    """The stream from one process. `is_lost`: nothing more will come; `is_cut`: and something may be missing."""

    def __init__(self, name: str, call: _Call, texts: dict[int, Text]) -> None:
        self.name = name
        self.is_lost = False
        self.is_cut = False
        self._call = call
        self._texts = texts
        self._listening = asyncio.create_task(self._listen())

    async def aclose(self) -> None:
        """Ends it."""
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        self._call.cancel()  # a task that is cancelled before its first step has no `finally`

    async def _listen(self) -> None:
        try:
            while isinstance(response := await self._call.read(), decoder_pb2.ListenResponse):
                for told in response.told:
                    if (text := self._texts.get(told.told_as)) is not None:
                        text.hear(told.event)
        except grpc.aio.AioRpcError:
            self.is_cut = True  # the completions say what it means to them
        except asyncio.CancelledError:
            self.is_cut = True
            raise
        finally:
            self.is_lost = True
            self._call.cancel()
            for text in self._texts.values():
                text.news.set()


class Ears:
    """The streams from the decoder behind `stub`, by the process that they come from."""

    def __init__(self, stub: "decoder_pb2_grpc.DecoderServiceAsyncStub") -> None:
        self._stub = stub
        self._numbers = itertools.count(1)
        self._texts: dict[int, Text] = {}
        self._ears = PerInstance("listener", self._open)

    @contextmanager
    def text(self) -> Iterator[Text]:
        """What comes for a completion while the block lasts."""
        text = Text(next(self._numbers))
        self._texts[text.told_as] = text
        try:
            yield text
        finally:
            del self._texts[text.told_as]

    def names(self) -> list[str]:
        """Of the streams that there are."""
        return [ear.name for ear in self._ears.living()]

    def find(self, name: str) -> Ear | None:
        """The stream of this name, where it lives."""
        return next((ear for ear in self._ears.living() if ear.name == name), None)

    def want(self, instance: str) -> None:
        """Has a stream opened to a process, for the completions to come."""
        self._ears.to(instance)

    async def aclose(self) -> None:
        """Ends all of them."""
        await self._ears.aclose()

    async def _open(self) -> tuple[str, Ear] | None:
        name = secrets.token_hex(16)
        call = self._stub.Listen(decoder_pb2.ListenRequest(listener=name))
        with suppress(grpc.aio.AioRpcError, TimeoutError):
            async with asyncio.timeout(OPEN_SECONDS):
                response = await call.read()
            if isinstance(response, decoder_pb2.ListenResponse) and response.instance:
                return response.instance, Ear(name, call, self._texts)
        call.cancel()
        return None
