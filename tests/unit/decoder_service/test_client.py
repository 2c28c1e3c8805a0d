"""The event loop's end of the connection to an engine."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from decoder_service.engine.client import EngineClient, SequenceFailedError
from decoder_service.engine.connection import frame
from decoder_service.engine.messages import Decoded, Report, Sampling, TurnEnded, TurnSpec

TURN = TurnSpec(max_tokens=4)


class Line:
    """A client, and the engine's side of its connection in the test's hands."""

    def __init__(self, client: EngineClient, engine: asyncio.StreamWriter) -> None:
        self.client = client
        self.engine = engine


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    _, engine = await asyncio.open_unix_connection(sock=theirs)
    client = EngineClient(reader, writer, 8)
    yield Line(client, engine)
    await client.close()
    engine.transport.abort()


async def test_text_is_passed_on_before_anybody_reads_the_turn(line: Line) -> None:
    came, heard = asyncio.Event(), list[str]()

    def hear(text: str) -> None:
        heard.append(text)
        came.set()

    handle = line.client.begin([1], Sampling(), TURN, hear)
    outputs = [Decoded(handle.id, (1,), "a"), Decoded(handle.id, (2,), ""), TurnEnded(handle.id, "stop", 2)]
    line.engine.write(frame(Report(outputs, {}, 1.0)))
    async with asyncio.timeout(20):
        await came.wait()
    assert heard == ["a"]
    assert [output async for output in handle.turn()] == outputs


async def test_what_goes_wrong_with_one_sequences_text_fails_that_one_alone(line: Line) -> None:
    def stumble(_text: str) -> None:
        raise ValueError("it cannot")

    one = line.client.begin([1], Sampling(), TURN, stumble)
    other = line.client.begin([1], Sampling(), TURN)
    ended = TurnEnded(other.id, "stop", 1)
    line.engine.write(frame(Report([Decoded(one.id, (1,), "x"), Decoded(other.id, (1,), "y"), ended], {}, 1.0)))
    async with asyncio.timeout(20):
        with pytest.raises(SequenceFailedError, match="could not be passed on"):
            await anext(one.turn())
        assert [output async for output in other.turn()] == [Decoded(other.id, (1,), "y"), ended]
    assert not line.client.failed.is_set()
