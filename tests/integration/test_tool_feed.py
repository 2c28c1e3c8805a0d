"""Text by a feed: the decoder's side and the tool service's, over gRPC."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import grpc
import pytest
from prometheus_client import CollectorRegistry

from decoder_service.tool_client import ToolStream
from decoder_service.tool_feed import ToolFeeds
from protos.conveyor.tool.v1 import tool_pb2, tool_pb2_grpc
from protos.rpc import context
from protos.rpc.channel import open_channel
from protos.rpc.errors import Reason, ServiceError
from tests.integration.stack import serving
from tool_service.execution.host import ToolHost, by_name
from tool_service.metrics import ToolMetrics
from tool_service.servicer import ToolServicer
from tool_service.settings import ToolSettings
from tool_service.tools.calculator.tool import calculator

CALL = '<tool_call>\n{"name": "calculator", "arguments": {"expression": "6 * 7"}}\n</tool_call>'


class Watched(ToolServicer):
    """A servicer that counts by which way text came."""

    def __init__(self) -> None:
        super().__init__(ToolHost(by_name([calculator])), ToolSettings(), ToolMetrics(CollectorRegistry()))
        self.by_stream, self.by_feed, self.messages = 0, 0, 0
        self.has_feeds = True

    async def Execute(self, requests: AsyncIterator[tool_pb2.ExecuteRequest], call: object) -> None:
        async def counted() -> AsyncIterator[tool_pb2.ExecuteRequest]:
            async for request in requests:
                self.by_stream += len(request.text_delta.text)
                yield request

        await super().Execute(counted(), call)

    async def Feed(
        self, requests: AsyncIterator[tool_pb2.FeedRequest], call: "grpc.aio.ServicerContext[object, object]"
    ) -> None:
        if not self.has_feeds:
            await call.abort(grpc.StatusCode.UNIMPLEMENTED, "no feeds here")

        async def counted() -> AsyncIterator[tool_pb2.FeedRequest]:
            async for request in requests:
                self.by_feed += sum(len(fed.text) for fed in request.texts)
                self.messages += bool(request.texts)
                yield request

        await super().Feed(counted(), call)


async def room() -> None:
    """There always is."""


class House:
    """A tool service, and a decoder's feeds to it."""

    def __init__(self, servicer: Watched, stub: "tool_pb2_grpc.ToolServiceAsyncStub") -> None:
        self.servicer = servicer
        self.feeds = ToolFeeds(stub)
        self._stub = stub

    @contextlib.asynccontextmanager
    async def completion(self) -> AsyncIterator[tuple[ToolStream, list[tool_pb2.ExecuteResponse]]]:
        events: list[tool_pb2.ExecuteResponse] = []
        context.bind(context.RequestContext(context.new_request_id()))
        async with ToolStream(self._stub, self.feeds, events.append, room) as stream:
            await stream.start(tool_pb2.Start(format="hermes", tools=["calculator"], mode=tool_pb2.MODE_PARTIAL))
            yield stream, events

    async def say(self, text: str) -> str:
        """The result of the one call of a turn."""
        async with self.completion() as (stream, events):
            for character in text:
                stream.text(character)
                await stream.flush()
            assert await stream.end_turn("stop") == 1
        return next(event.call_finished.result for event in events if event.HasField("call_finished"))

    async def fed(self) -> None:
        """Waits until there is a feed."""
        async with asyncio.timeout(20):
            while not self.feeds.to(self.servicer._feeds.instance):  # noqa: ASYNC110 - it says when it is asked
                await asyncio.sleep(0.01)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    servicer = Watched()
    async with (
        serving(lambda server: tool_pb2_grpc.add_ToolServiceServicer_to_server(servicer, server)) as port,
        open_channel(f"127.0.0.1:{port}") as channel,
    ):
        house = House(servicer, tool_pb2_grpc.ToolServiceStub(channel))
        yield house
        await house.feeds.aclose()


async def test_text_goes_by_the_feed_as_soon_as_there_is_one_with_the_same_result(house: House) -> None:
    assert await house.say(CALL) == "42"
    assert (house.servicer.by_stream, house.servicer.by_feed) == (len(CALL), 0)
    await house.fed()
    assert await house.say(CALL) == "42"
    assert (house.servicer.by_stream, house.servicer.by_feed) == (len(CALL), len(CALL))


async def test_what_many_say_in_the_same_moment_goes_in_few_messages(house: House) -> None:
    await house.fed()
    async with contextlib.AsyncExitStack() as stack:
        streams = [(await stack.enter_async_context(house.completion()))[0] for _ in range(16)]
        for character in CALL:
            for stream in streams:
                stream.text(character)
                await stream.flush()
            await asyncio.sleep(0.001)
        assert await asyncio.gather(*(stream.end_turn("stop") for stream in streams)) == [1] * 16
    assert house.servicer.by_feed == 16 * len(CALL)
    assert house.servicer.messages <= 2 * len(CALL)


async def test_a_lost_feed_ends_the_completions_that_it_fed_and_the_next_one_goes_well(house: House) -> None:
    await house.fed()
    async with house.completion() as (stream, _):
        stream.text(CALL[:10])
        await stream.flush()
        house.feeds.to(house.servicer._feeds.instance)._call.cancel()  # type: ignore[union-attr]
        with pytest.raises(ServiceError) as raised:
            async with asyncio.timeout(20):
                await stream.end_turn("stop")
        assert raised.value.reason is Reason.TOOL_SERVICE_UNAVAILABLE
    assert await house.say(CALL) == "42"
    await house.fed()
    assert await house.say(CALL) == "42"


@pytest.mark.parametrize("ended_by", ["service", "decoder"])
async def test_a_feed_that_is_lost_just_before_a_turns_end_does_not_keep_it_waiting(
    house: House, ended_by: str
) -> None:
    await house.fed()
    feed = house.feeds.to(house.servicer._feeds.instance)
    assert feed is not None
    async with house.completion() as (stream, _):
        stream.text(CALL[:10])
        if ended_by == "service":
            told = asyncio.Event()
            lose = house.servicer._feeds.lose
            house.servicer._feeds.lose = lambda name: (lose(name), told.set())  # type: ignore[method-assign, assignment]
            house.servicer._drained.set()
            await told.wait()
        else:
            feed._call.cancel()
            await asyncio.sleep(0)
        stream.text(CALL[10:])
        with pytest.raises(ServiceError) as raised:
            async with asyncio.timeout(20):
                await stream.end_turn("stop")
    assert raised.value.reason is Reason.TOOL_SERVICE_UNAVAILABLE


async def test_by_a_feed_text_comes_without_a_flush_and_by_the_stream_at_the_turns_end_at_the_latest(
    house: House,
) -> None:
    async with house.completion() as (stream, events):
        for character in CALL:
            stream.text(character)
        assert await stream.end_turn("stop") == 1
    assert (house.servicer.by_stream, house.servicer.by_feed) == (len(CALL), 0)
    await house.fed()
    async with house.completion() as (stream, events):
        stream.text(CALL)
        async with asyncio.timeout(20):
            while house.servicer.by_feed < len(CALL):  # noqa: ASYNC110 - the servicer counts what comes
                await asyncio.sleep(0.005)
        assert await stream.end_turn("stop") == 1
    assert [event.call_finished.result for event in events if event.HasField("call_finished")] == ["42"]


async def test_a_lost_feed_leaves_alone_whose_turn_is_whole_and_the_next_turn_goes_by_the_stream(house: House) -> None:
    await house.fed()
    async with house.completion() as (stream, events):
        stream.text(CALL)
        await stream.flush()
        assert await stream.end_turn("stop") == 1
        house.feeds.to(house.servicer._feeds.instance)._call.cancel()  # type: ignore[union-attr]
        async with asyncio.timeout(20):
            while stream._feed is not None:  # noqa: ASYNC110 - the feed tells it
                await asyncio.sleep(0.005)
        stream.text(CALL)
        await stream.flush()
        assert await stream.end_turn("stop") == 1
    assert [event.call_finished.result for event in events if event.HasField("call_finished")] == ["42", "42"]
    assert (house.servicer.by_feed, house.servicer.by_stream) == (len(CALL), len(CALL))


async def test_a_completion_that_is_cancelled_while_it_closes_is_forgotten_by_the_feed(house: House) -> None:
    await house.fed()
    feed = house.feeds.to(house.servicer._feeds.instance)
    assert feed is not None
    closing = asyncio.Event()

    async def complete() -> None:
        async with house.completion() as (stream, _):
            stream._close = hold  # type: ignore[method-assign]

    async def hold(reader: object) -> None:
        closing.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(complete())
    await closing.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert not feed._listeners


async def test_a_drain_ends_the_feed_when_the_last_completion_has_ended(house: House) -> None:
    await house.fed()
    feed = house.feeds.to(house.servicer._feeds.instance)
    assert feed is not None
    async with house.completion() as (stream, _):
        drained = asyncio.create_task(house.servicer.drain())
        for character in CALL:
            stream.text(character)
            await stream.flush()
        assert await stream.end_turn("stop") == 1
        assert not drained.done() and not feed.is_lost
    async with asyncio.timeout(20):
        await drained
        while not feed.is_lost:  # noqa: ASYNC110 - it hears of it from the other side
            await asyncio.sleep(0.005)


async def test_a_service_without_feeds_is_spoken_to_as_before(house: House) -> None:
    house.servicer.has_feeds = False
    for _ in range(2):
        assert await house.say(CALL) == "42"
    assert house.servicer.by_stream == 2 * len(CALL)


async def test_each_replica_is_fed_by_a_feed_of_its_own() -> None:
    servicers = [Watched(), Watched()]
    async with contextlib.AsyncExitStack() as stack:
        ports = [
            await stack.enter_async_context(
                serving(lambda server, each=each: tool_pb2_grpc.add_ToolServiceServicer_to_server(each, server))
            )
            for each in servicers
        ]
        addresses = ",".join(f"127.0.0.1:{port}" for port in ports)
        channel = await stack.enter_async_context(open_channel(f"ipv4:///{addresses}"))
        house = House(servicers[0], tool_pb2_grpc.ToolServiceStub(channel))
        stack.push_async_callback(house.feeds.aclose)
        async with asyncio.timeout(40):
            while not all(each.by_feed for each in servicers):
                assert await house.say(CALL) == "42"
        for each in servicers:
            assert each.by_feed % len(CALL) == 0 and each.by_stream % len(CALL) == 0
