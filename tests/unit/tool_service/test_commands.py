"""What one completion is told, on its own stream or by a feed."""

import asyncio

import pytest

from protos.rpc.errors import Reason, ServiceError
from tool_service.commands import Commands
from tool_service.execution.events import TurnFinished
from tool_service.execution.host import Start, ToolHost, by_name
from tool_service.execution.runner import Limits, Mode
from tool_service.feeds import Feeds
from tool_service.interface import tool

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


def test_a_feed_brings_text_to_the_completion_of_its_number_alone():
    feeds, came = Feeds(), []
    with feeds.taking("a", 1, came.append):
        feeds.bring("a", 1, "this")
        feeds.bring("a", 2, "of nobody")
        feeds.bring("b", 1, "of another decoder")
    feeds.bring("a", 1, "too late")
    assert came == ["this"]


def test_a_number_is_taken_once_at_a_time():
    feeds = Feeds()
    with feeds.taking("a", 1, print), pytest.raises(ValueError, match="1 already"), feeds.taking("a", 1, print):
        pass
    with feeds.taking("a", 1, print), feeds.taking("", 0, print), feeds.taking("", 0, print):
        pass
