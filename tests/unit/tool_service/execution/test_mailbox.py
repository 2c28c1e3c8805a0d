import asyncio

from tool_service.execution.events import CallArtifact, CallOutput, TurnFinished
from tool_service.execution.mailbox import MOST_BYTES, Mailbox
from tool_service.interface import Artifact


def picture(count: int) -> CallArtifact:
    return CallArtifact("c", Artifact("p.png", "image/png", b"x" * count))


async def test_events_come_in_order_and_the_end_too() -> None:
    mailbox = Mailbox()
    said = [CallOutput("c", "a"), TurnFinished(1), None]
    for each in said:
        mailbox.put(each)
    assert [await mailbox.get() for _ in said] == said


async def test_whoever_waits_for_the_next_one_gets_it() -> None:
    mailbox = Mailbox()
    waiting = asyncio.create_task(mailbox.get())
    await asyncio.sleep(0)
    mailbox.put(TurnFinished(0))
    async with asyncio.timeout(5):
        assert await waiting == TurnFinished(0)


async def test_those_who_have_much_to_say_wait_while_much_waits_and_go_on_one_by_one() -> None:
    mailbox = Mailbox()
    mailbox.put(picture(MOST_BYTES + 1))
    assert mailbox.is_full
    went_on: asyncio.Queue[int] = asyncio.Queue()

    async def say(number: int) -> None:
        await mailbox.room()
        mailbox.put(picture(MOST_BYTES + 1))
        went_on.put_nowait(number)

    saying = [asyncio.create_task(say(number)) for number in range(3)]
    await asyncio.sleep(0)
    for _ in saying:
        assert went_on.empty()
        await mailbox.get()
        async with asyncio.timeout(5):
            await went_on.get()
    await asyncio.gather(*saying)
