import asyncio
from collections.abc import AsyncGenerator

import pytest
from starlette.types import Message

from gateway.event_stream import PING, EventStream, event


def test_an_event_has_its_number_and_its_kind_where_there_are_any() -> None:
    assert event("{}") == b"data: {}\n\n"
    assert event("{}", kind="finished", number=3) == b"id: 3\nevent: finished\ndata: {}\n\n"


class Client:
    """What an answer is sent to. `leave` is its going."""

    def __init__(self) -> None:
        self.got: list[Message] = []
        self.leave = asyncio.Event()
        self.news = asyncio.Event()

    async def receive(self) -> Message:
        await self.leave.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.got.append(message)
        self.news.set()

    @property
    def bodies(self) -> list[bytes]:
        return [message["body"] for message in self.got if message["type"] == "http.response.body"]


async def test_events_are_sent_as_they_come_and_the_answer_ends_with_them() -> None:
    async def said() -> AsyncGenerator[bytes, None]:
        yield b"a"
        yield b"b"

    client = Client()
    await EventStream(said())({}, client.receive, client.send)
    assert (
        client.got[0]["status"] == 200
        and (b"content-type", b"text/event-stream; charset=utf-8") in client.got[0]["headers"]
    )
    assert client.bodies == [b"a", b"b", b""]
    assert client.got[-1]["more_body"] is False


async def test_silence_is_broken_by_comments() -> None:
    async def silent() -> AsyncGenerator[bytes, None]:
        await asyncio.Event().wait()
        yield b""

    client = Client()
    answering = asyncio.create_task(EventStream(silent(), ping_seconds=0.01)({}, client.receive, client.send))
    async with asyncio.timeout(5):
        while client.bodies != [PING, PING]:
            client.news.clear()
            await client.news.wait()
    client.leave.set()
    await answering


async def test_who_leaves_closes_the_generator_at_once() -> None:
    closed = asyncio.Event()

    async def silent() -> AsyncGenerator[bytes, None]:
        try:
            yield b"a"
            await asyncio.Event().wait()
        finally:
            closed.set()

    client = Client()
    answering = asyncio.create_task(EventStream(silent())({}, client.receive, client.send))
    async with asyncio.timeout(5):
        while not client.bodies:
            client.news.clear()
            await client.news.wait()
        client.leave.set()
        await answering
    assert closed.is_set()


async def test_what_goes_wrong_reaches_the_server() -> None:
    async def broken() -> AsyncGenerator[bytes, None]:
        yield b"a"
        raise ValueError("a bug")

    client = Client()
    with pytest.raises(ValueError, match="a bug"):
        await EventStream(broken())({}, client.receive, client.send)
