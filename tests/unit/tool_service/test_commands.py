"""What one completion is told, on its own stream or by a feed."""

import asyncio
from contextvars import Context, ContextVar

import pytest

from protos.rpc.errors import Reason, ServiceError
from tool_service.commands import Commands
from tool_service.execution.events import CallFinished, TurnFinished
from tool_service.execution.host import Start, ToolHost, by_name
from tool_service.execution.runner import Limits, Mode
from tool_service.feeds import Feeds
from tool_service.interface import Stream, tool

CALL = '<tool_call>\n{"name": "double", "arguments": {"number": 21}}\n</tool_call>'


@tool
async def double(number: int) -> int:
    """Double a number."""
    return 2 * number


class Completion:
    """One that is told commands, and what came of it."""

    def __init__(self) -> None:
        self.events: list[object] = []
        start = Start("hermes", ("double",), Mode.PARTIAL, Limits())
        self.commands = Commands(ToolHost(by_name([double])).open(start, self.events.append).runner, self.events.append)

    @property
    def turns(self) -> int:
        return sum(isinstance(event, TurnFinished) for event in self.events)

    @property
    def reasons(self) -> list[Reason]:
        return [event.reason for event in self.events if isinstance(event, ServiceError)]


async def test_a_turn_ends_when_the_text_that_it_is_said_to_have_has_come():
    completion = Completion()
    completion.commands.fed(CALL[:20])
    completion.commands.end_turn("stop", len(CALL))
    await asyncio.sleep(0)
    completion.commands.fed(CALL[20:-1])
    await asyncio.sleep(0)
    assert completion.turns == 0
    completion.commands.fed(CALL[-1])
    await completion.commands.finished()
    assert completion.turns == 1
    assert completion.reasons == []


async def test_the_next_turn_is_counted_anew():
    completion = Completion()
    for _ in range(2):
        completion.commands.fed(CALL)
        completion.commands.end_turn("stop", len(CALL))
        await completion.commands.finished()
    assert completion.turns == 2


async def test_text_after_a_turn_is_whole_ends_its_completion_and_nothing_else():
    completion = Completion()
    completion.commands.fed(CALL)
    completion.commands.end_turn("stop", 0)
    completion.commands.fed("more")
    assert completion.reasons == [Reason.PROTOCOL_VIOLATION]
    with pytest.raises(ServiceError):
        completion.commands.text("more")
    await completion.commands.aclose()


async def test_a_turn_is_ended_once():
    completion = Completion()
    completion.commands.end_turn("stop", 5)
    with pytest.raises(ServiceError, match="ended already"):
        completion.commands.end_turn("stop", 5)
    await completion.commands.aclose()


async def test_a_call_that_a_feed_starts_runs_in_the_context_of_its_completion():
    request: ContextVar[str] = ContextVar("request", default="of nobody")

    @tool
    async def whose(text: Stream[str]) -> str:
        """Say whose call it is."""
        await text
        return request.get()

    events: list[object] = []
    request.set("of its completion")
    runner = ToolHost(by_name([whose])).open(Start("hermes", ("whose",), Mode.PARTIAL, Limits()), events.append).runner
    commands = Commands(runner, events.append)
    call = '<tool_call>\n{"name": "whose", "arguments": {"text": "this"}}\n</tool_call>'
    Context().run(commands.fed, call)
    commands.end_turn("stop", len(call))
    await commands.finished()
    assert [event.outcome for event in events if isinstance(event, CallFinished)] == ["of its completion"]


async def test_a_turn_that_waits_for_text_ends_with_the_feed():
    completion = Completion()
    completion.commands.fed(CALL[:20])
    completion.commands.end_turn("stop", len(CALL))
    await asyncio.sleep(0)
    completion.commands.lose_feed()
    assert completion.reasons == [Reason.TOOL_SERVICE_UNAVAILABLE]
    await completion.commands.aclose()


async def test_a_turn_whose_text_is_whole_does_not_need_the_feed():
    completion = Completion()
    completion.commands.fed(CALL)
    completion.commands.end_turn("stop", len(CALL))
    await asyncio.sleep(0)
    completion.commands.lose_feed()
    await completion.commands.finished()
    assert (completion.turns, completion.reasons) == (1, [])


async def test_more_text_than_a_turn_is_said_to_have_is_refused():
    completion = Completion()
    completion.commands.fed(CALL)
    completion.commands.end_turn("stop", 3)
    with pytest.raises(ServiceError, match="instead of 3"):
        await completion.commands.finished()


class Heard:
    """A completion that keeps what comes."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.losses = 0

    def fed(self, text: str) -> None:
        self.texts.append(text)

    def lose_feed(self) -> None:
        self.losses += 1


def test_a_feed_brings_text_to_the_completion_of_its_number_alone():
    feeds, heard = Feeds(), Heard()
    with feeds.taking("a", 1, heard):
        feeds.bring("a", 1, "this")
        feeds.bring("a", 2, "of nobody")
        feeds.bring("b", 1, "of another decoder")
        feeds.lose("b")
        feeds.lose("a")
    feeds.bring("a", 1, "too late")
    feeds.lose("a")
    assert (heard.texts, heard.losses) == (["this"], 1)


def test_a_number_is_taken_once_at_a_time():
    feeds = Feeds()
    with feeds.taking("a", 1, Heard()), pytest.raises(ValueError, match="1 already"), feeds.taking("a", 1, Heard()):
        pass
    with feeds.taking("a", 1, Heard()), feeds.taking("", 0, Heard()), feeds.taking("", 0, Heard()):
        pass
