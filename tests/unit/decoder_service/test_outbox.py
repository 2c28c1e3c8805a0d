import asyncio

import pytest

from decoder_service.listeners import MESSAGE_BYTES, Listener, Listeners
from decoder_service.listeners import MOST_BYTES as MOST_UNREAD_BYTES
from decoder_service.outbox import MOST_ALONE, MOST_BYTES, Outbox
from protos.conveyor.decoder.v1 import decoder_pb2 as pb
from protos.rpc.errors import Reason, ServiceError


def text(said: str) -> pb.GenerateResponse:
    return pb.GenerateResponse(text_delta=pb.TextDelta(text=said))


def output(said: str) -> pb.GenerateResponse:
    return pb.GenerateResponse(call_output=pb.CallOutput(call_id="c", text=said))


async def taken(outbox: Outbox) -> list[pb.GenerateResponse]:
    outbox.close()
    found = []
    while (event := await outbox.get()) is not None:
        found.append(event)
    return found


async def told(listener: Listener, count: int) -> list[pb.Told]:
    found: list[pb.Told] = []
    async for message in listener.messages():
        found += message.told
        if len(found) >= count:
            break
    return found


async def test_without_a_listener_all_waits_in_order_and_text_that_waits_long_is_put_together() -> None:
    outbox = Outbox()
    pieces = [f"{number} " for number in range(1000)]
    for piece in pieces:
        outbox.put(text(piece))
    events = await taken(outbox)
    assert len(events) == MOST_ALONE
    assert "".join(event.text_delta.text for event in events) == "".join(pieces)
    assert not any(event.number for event in events)


async def test_text_goes_by_the_listener_and_the_rest_by_the_stream_and_numbers_give_the_order() -> None:
    listener = Listeners().open("l")
    outbox = Outbox(listener, told_as=7)
    outbox.accept("here")
    for event in (text("a"), output("b"), text("c"), output("d")):
        outbox.put(event)
    accepted, *own = await taken(outbox)
    assert (accepted.accepted.instance, accepted.accepted.listener) == ("here", "l")
    assert [(each.number, each.call_output.text) for each in own] == [(2, "b"), (4, "d")]
    heard = await told(listener, 2)
    assert [(each.told_as, each.event.number, each.event.text_delta.text) for each in heard] == [
        (7, 1, "a"),
        (7, 3, "c"),
    ]


async def test_output_that_waits_is_put_together_only_where_no_text_was_said_between() -> None:
    outbox = Outbox(Listeners().open("l"), told_as=7)
    outbox.accept("here")
    for _ in range(MOST_ALONE - 1):  # beside `accepted`
        outbox.put(output("a"))
    outbox.put(output("b"))
    outbox.put(text("c"))
    outbox.put(output("d"))
    _, *own = await taken(outbox)
    assert [each.call_output.text for each in own[-2:]] == ["ab", "d"]
    assert [each.number for each in own] == [*range(1, MOST_ALONE), MOST_ALONE + 1]


async def test_where_there_is_no_listener_here_the_caller_is_told_and_gets_all_by_the_stream() -> None:
    outbox = Outbox()
    outbox.accept("here")
    outbox.put(text("a"))
    accepted, said = await taken(outbox)
    assert (accepted.accepted.listener, said.number, said.text_delta.text) == ("", 1, "a")


async def test_there_is_no_room_while_much_waits() -> None:
    outbox = Outbox()
    await outbox.room()
    outbox.put(pb.GenerateResponse(call_artifact=pb.CallArtifact(data=b"x" * (MOST_BYTES + 1))))
    outbox.put(output("a"))
    waiting = asyncio.create_task(outbox.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    assert await outbox.get() is not None
    async with asyncio.timeout(5):
        await waiting


async def test_a_listener_that_does_not_read_is_cut_off() -> None:
    listeners = Listeners()
    listener = listeners.open("l")
    assert listeners.find(["other", "l"]) is listener
    piece = text("a" * 4096)
    for _ in range(MOST_UNREAD_BYTES // 4096 - 1024):
        listener.tell(1, piece)
    assert not listener.is_lost
    for _ in range(1024):
        listener.tell(1, piece)
    assert listener.is_lost and listeners.find(["l"]) is None
    with pytest.raises(ServiceError):
        await anext(listener.messages())


async def test_a_listener_that_is_ended_is_told_what_waits() -> None:
    listeners = Listeners()
    listener = listeners.open("l")
    listener.tell(1, text("a"))
    listeners.end()
    [message] = [message async for message in listener.messages()]
    assert message.told[0].event.text_delta.text == "a"


async def test_a_message_has_so_many_bytes_and_one_event_at_least() -> None:
    listener = Listener("l")
    sizes = (MESSAGE_BYTES * 2, MESSAGE_BYTES // 3, MESSAGE_BYTES // 3, MESSAGE_BYTES // 2)
    for size in sizes:
        listener.tell(1, text("a" * size))
    listener.end()
    messages = [[len(each.event.text_delta.text) for each in message.told] async for message in listener.messages()]
    assert messages == [[sizes[0]], [*sizes[1:3]], [sizes[3]]]


@pytest.mark.parametrize("name", ["", "x" * 65, "taken"])
def test_a_name_that_is_none_or_taken_is_refused(name: str) -> None:
    listeners = Listeners()
    listeners.open("taken")
    with pytest.raises(ServiceError) as raised:
        listeners.open(name)
    assert raised.value.reason is Reason.PROTOCOL_VIOLATION
