"""Text of many completions by one stream from the decoder to the gateway."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import httpx
import pytest

from decoder_service.listeners import Listener, Listeners
from decoder_service.models.loader import LoadedModel
from decoder_service.servicer import DecoderServicer
from gateway import decoder
from protos.conveyor.decoder.v1 import decoder_pb2, decoder_pb2_grpc
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.rpc.errors import Reason, from_rpc_error
from tests.integration.stack import Answer, Stack, running_stack

CALL = '<tool_call>\n{"name": "calculator", "arguments": {"expression": "6 * 7"}}\n</tool_call>'
SAID = "The bridge over the river is made of copper and of letters."


class Told:
    """What went by which way, from the servicer on."""

    def __init__(self) -> None:
        self.own, self.heard, self.messages = 0, 0, 0


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    counts = Told()
    generate, listen = DecoderServicer.Generate, DecoderServicer.Listen

    class Counting:
        def __init__(self, context: object, note: object) -> None:
            self._context, self._note = context, note

        def __getattr__(self, name: str) -> object:
            return getattr(self._context, name)

        async def write(self, message: object) -> None:
            self._note(message)  # type: ignore[operator]
            await self._context.write(message)  # type: ignore[attr-defined]

    def own(message: decoder_pb2.GenerateResponse) -> None:
        counts.own += message.HasField("text_delta")

    def heard(message: decoder_pb2.ListenResponse) -> None:
        counts.messages += bool(message.told)
        counts.heard += sum(each.event.HasField("text_delta") for each in message.told)

    async def generate_counting(self: DecoderServicer, requests: object, context: object) -> None:
        await generate(self, requests, Counting(context, own))

    async def listen_counting(self: DecoderServicer, request: object, context: object) -> None:
        await listen(self, request, Counting(context, heard))

    monkeypatch.setattr(DecoderServicer, "Generate", generate_counting)
    monkeypatch.setattr(DecoderServicer, "Listen", listen_counting)
    return counts


@pytest.fixture
async def stack(small_model: LoadedModel, told: Told) -> AsyncIterator[Stack]:
    async with running_stack(small_model) as running:
        yield running


def plain(said: str = SAID) -> pb.CompleteRequest:
    return pb.CompleteRequest(
        messages=[pb.Message(role="user", content="Say it.")],
        replay=[said],
        limits=pb.Limits(max_tokens=4000, max_turns=1),
    )


def with_tools() -> pb.CompleteRequest:
    return pb.CompleteRequest(
        messages=[pb.Message(role="user", content="6 * 7?")],
        tool_use=pb.ToolUse(format="hermes", tools=["calculator"], stream_arguments=True, stream_content=True),
        replay=[f"Let me see. {CALL} That is all.", "It is 42."],
        limits=pb.Limits(max_tokens=500, max_turns=2),
    )


async def until_heard(stack: Stack, told: Told) -> None:
    """Until text comes by a listener."""
    async with asyncio.timeout(30):
        while not told.heard:
            assert (await stack.complete(plain())).text == SAID


async def test_the_first_completion_does_not_wait_for_the_listener_and_the_next_ones_have_it(
    stack: Stack, told: Told
) -> None:
    assert (await stack.complete(plain())).text == SAID
    assert told.own and not told.heard
    await until_heard(stack, told)
    own = told.own
    assert (await stack.complete(plain())).text == SAID
    assert told.own == own


async def test_events_of_both_ways_come_in_the_order_in_which_they_were_said(stack: Stack, told: Told) -> None:
    by_stream = await stack.complete(with_tools())
    await until_heard(stack, told)
    own = told.own
    for answer in await asyncio.gather(*(stack.complete(with_tools()) for _ in range(8))):
        assert _turns(answer) == _turns(by_stream)
        assert answer.events[-1].HasField("finished")
        assert answer.place("call_opened") < answer.place("arguments_delta") < answer.place("call_finished")
    assert told.own == own


def _turns(answer: Answer) -> list[str]:
    """Beginnings and ends of turns, and the text between them, however it was cut."""
    found = [""]
    for event in answer.events:
        kind = event.WhichOneof("event") or ""
        if kind == "text_delta":
            found[-1] += event.text_delta.text
        elif kind.startswith("turn_"):
            found += [f"{kind} {getattr(event, kind).turn}", ""]
    return found


async def test_what_many_say_in_the_same_moment_goes_in_few_messages(stack: Stack, told: Told) -> None:
    await until_heard(stack, told)
    heard, messages = told.heard, told.messages
    answers = await asyncio.gather(*(stack.complete(plain()) for _ in range(16)))
    assert {answer.text for answer in answers} == {SAID}
    assert (told.heard - heard) > 3 * (told.messages - messages)


async def test_a_listener_that_is_lost_cuts_off_whose_text_it_brought_and_the_next_ones_go_well(
    small_model: LoadedModel, told: Told
) -> None:
    async with running_stack(small_model, step_seconds=0.01) as stack:
        await until_heard(stack, told)
        call = stack.client.Complete(plain("on and on " * 900), timeout=60)
        while not (await call.read()).HasField("text_delta"):  # type: ignore[union-attr]
            pass
        [ear] = stack.gateway.completions.ears._ears.living()
        ear._call.cancel()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            async with asyncio.timeout(20):
                while isinstance(await call.read(), pb.CompleteResponse):
                    pass
        assert from_rpc_error(raised.value, Reason.INTERNAL).reason is Reason.DECODER_UNAVAILABLE
        async with asyncio.timeout(20):
            while any(stack.decoder.engine.counts().values()):  # noqa: ASYNC110 - the engine tells it by its reports
                await asyncio.sleep(0.005)
        told.heard = 0
        await until_heard(stack, told)


async def test_a_decoder_without_listeners_is_spoken_to_as_before(
    small_model: LoadedModel, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unimplemented(self: object, request: object, context: "grpc.aio.ServicerContext[object, object]") -> None:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "no listeners here")

    monkeypatch.setattr(DecoderServicer, "Listen", unimplemented)
    async with running_stack(small_model) as stack:
        for _ in range(3):
            assert (await stack.complete(plain())).text == SAID
    assert told.own and not told.heard


async def test_each_replica_is_listened_to(small_model: LoadedModel, told: Told) -> None:
    """Two ways to one process are one replica; one that is another's is another."""
    async with running_stack(small_model) as other:
        address = other.decoder_address

        async def both(port: int) -> str:
            return f"ipv4:///127.0.0.1:{port},{address}"

        async with running_stack(small_model, way_to_decoder=both) as stack:
            async with asyncio.timeout(30):
                while len(stack.gateway.completions.ears.names()) < 2:
                    assert (await stack.complete(plain())).text == SAID
            own = told.own
            for _ in range(4):
                assert (await stack.complete(plain())).text == SAID
            assert told.own == own


async def test_a_decoder_that_drains_ends_the_listeners_when_the_last_completion_has_ended(
    small_model: LoadedModel, told: Told
) -> None:
    async with running_stack(small_model, step_seconds=0.01) as stack:
        await until_heard(stack, told)
        call = stack.client.Complete(plain(), timeout=60)
        await call.read()
        draining = asyncio.create_task(stack.decoder_servicer.drain())
        said = ""
        while isinstance(response := await call.read(), pb.CompleteResponse):
            said += response.text_delta.text
        assert said == SAID
        async with asyncio.timeout(20):
            await draining
            while stack.gateway.completions.ears.names():  # noqa: ASYNC110 - it hears of it from the other side
                await asyncio.sleep(0.005)


async def test_listening_is_refused_without_a_name(stack: Stack) -> None:
    async with grpc.aio.insecure_channel(stack.decoder_address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await decoder_pb2_grpc.DecoderServiceStub(channel).Listen(decoder_pb2.ListenRequest()).read()
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
def dropping(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that loses one event of each completion on the way to its listener."""
    tell = Listener.tell

    def lossy(self: Listener, told_as: int, event: decoder_pb2.GenerateResponse) -> None:
        if event.number != 3:
            tell(self, told_as, event)

    monkeypatch.setattr(Listener, "tell", lossy)


async def test_text_that_never_comes_ends_its_completion_and_no_other(
    stack: Stack, told: Told, dropping: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder, "_LATE_SECONDS", 0.2)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await until_heard(stack, told)
    assert from_rpc_error(raised.value, Reason.INTERNAL).reason is Reason.DECODER_UNAVAILABLE
    assert stack.gateway.completions._active == 0


async def test_a_completion_whose_text_never_comes_can_be_cancelled(stack: Stack, told: Told, dropping: None) -> None:
    async def cancelled() -> None:
        while told.heard < 5:  # noqa: ASYNC110 - what is heard is heard in the servicer
            await asyncio.sleep(0.005)
        async with httpx.AsyncClient(base_url=stack.http) as client:
            [newest] = (await client.get("/v1/completions", params={"limit": 1})).json()["completions"]
            answer = (await client.post(f"/v1/completions/{newest['id']}/cancel")).json()
        assert (answer["state"], answer["error"]["code"]) == ("failed", "cancelled")

    cancelling = asyncio.create_task(cancelled())
    with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
        await until_heard(stack, told)
    await cancelling


async def test_streams_that_are_one_too_many_are_closed(stack: Stack, told: Told) -> None:
    await until_heard(stack, told)
    ears = stack.gateway.completions.ears
    opened = await ears._open()
    assert opened is not None
    await opened[1].aclose()  # before its task has begun
    async with asyncio.timeout(20):
        while len(stack.decoder_servicer._listeners._listeners) > 1:  # noqa: ASYNC110 - the decoder hears of it
            await asyncio.sleep(0.005)


async def test_a_listener_that_comes_after_the_end_ends_at_once() -> None:
    listeners = Listeners()
    listeners.end()
    late = listeners.open("late")
    assert listeners.find(["late"]) is None
    assert [message async for message in late.messages()] == []
