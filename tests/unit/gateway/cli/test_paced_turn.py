"""A turn on a clock that goes on only where it is waited for."""

import asyncio

import pytest

from gateway.cli.live import Live
from gateway.cli.paced_turn import LoopClock, PacedTurn
from gateway.wire import duration
from protos.conveyor.gateway.v1 import gateway_pb2 as gateway
from protos.conveyor.tool.v1 import tool_pb2 as pb


class FakeClock:
    """Every wait takes `late` seconds more than it should."""

    def __init__(self, late=0.0):
        self.time = 100.0
        self.late = late

    def now(self):
        return self.time

    async def comes(self, event, before):
        if not event.is_set():
            self.time = max(self.time, before + self.late)
        return event.is_set()


OPENED = pb.ExecuteResponse(call_opened=pb.CallOpened(call_id="c", name="echo", text_offset=1))
STARTED = pb.ExecuteResponse(call_started=pb.CallStarted(call_id="c"))
VETOED = pb.ExecuteResponse(turn_vetoed=pb.TurnVetoed(call_id="c", reason="no"))
TURN_FINISHED = pb.ExecuteResponse(turn_finished=pb.TurnFinished(call_count=1))


def unit(offset, busy):
    done = pb.Unit(label=f"to {offset}", text_offset=offset, busy=duration(busy))
    return pb.ExecuteResponse(unit_finished=pb.UnitFinished(call_id="c", unit=done))


def finished(busy, call_id="c", **outcome):
    timing = pb.Timing(busy=duration(busy))
    return pb.ExecuteResponse(call_finished=pb.CallFinished(call_id=call_id, timing=timing, **outcome))


class Told:
    """Everything that a turn has told, and what is known by it."""

    def __init__(self):
        self.events, self.live = [], Live()

    def __call__(self, event):
        self.events.append(event)
        self.live.apply(event)

    def kinds(self):
        return [event.WhichOneof("event") for event in self.events]


async def written(turn, clock):
    """When each command was there."""
    return [(round(clock.now() - 100, 6), command.WhichOneof("command")) async for command in turn.commands()]


async def test_a_piece_is_written_at_each_step_and_the_end_with_the_last():
    clock, told = FakeClock(), Told()
    turn = PacedTurn(["a", "b", "c"], 4, told, clock)
    assert await written(turn, clock) == [
        (0.25, "text_delta"),
        (0.5, "text_delta"),
        (0.75, "text_delta"),
        (0.75, "turn_end"),
    ]
    assert told.live.text == "abc"
    assert turn.unwritten_count == 0


async def test_lateness_does_not_add_up():
    clock = FakeClock(late=0.1)
    turn = PacedTurn(["x"] * 1000, 10, Told(), clock)
    assert (await written(turn, clock))[-1] == (100.1, "turn_end")


async def test_a_writer_that_falls_behind_catches_up():
    clock = FakeClock()
    turn = PacedTurn(["x"] * 4, 10, Told(), clock)
    times = []
    async for _ in turn.commands():
        times.append(round(clock.now() - 100, 6))
        clock.time += 0.25 if len(times) == 1 else 0.0
    assert times == [0.1, 0.35, 0.35, 0.4, 0.4]


async def test_a_veto_ends_the_turn_at_once():
    clock, told = FakeClock(), Told()
    turn = PacedTurn(["a", "b", "c"], 1, told, clock)
    commands = []
    async for command in turn.commands():
        commands.append(command)
        turn.take(VETOED)
    assert commands == [
        pb.ExecuteRequest(text_delta=pb.TextDelta(text="a")),
        pb.ExecuteRequest(turn_end=pb.TurnEnd(reason=pb.TURN_END_REASON_VETO)),
    ]
    turn.take(TURN_FINISHED)
    assert clock.now() == 101
    assert turn.unwritten_count == 2
    assert turn.finish("r").finish_reason == gateway.FINISH_REASON_VETO


async def test_a_veto_that_comes_after_the_end_changes_nothing():
    clock = FakeClock()
    turn = PacedTurn(["a"], 1, Told(), clock)
    await written(turn, clock)
    turn.take(VETOED)
    assert turn.finish("r").finish_reason == gateway.FINISH_REASON_STOP


async def overlapped():
    """Four pieces, one a second. A unit of 1.5 s is done at 2.5 s, one of 2 s at 5 s."""
    clock, told = FakeClock(), Told()
    turn = PacedTurn(["a", "b", "c", "d"], 1, told, clock)
    commands = turn.commands()
    await anext(commands)
    for response in (OPENED, STARTED):
        turn.take(response)
    await anext(commands)
    clock.time += 0.5
    turn.take(unit(1, 1.5))
    for _ in range(3):
        await anext(commands)
    clock.time = 105
    for response in (unit(3, 2), finished(3.5, result="42"), TURN_FINISHED):
        turn.take(response)
    clock.time = 109  # closing the stream is no part of it
    return turn, told, turn.finish("r")


async def test_the_ledger_is_that_of_the_times_at_the_client():
    _, _, last = await overlapped()
    assert last.ledger == gateway.Ledger(
        completion=duration(5),
        decode=duration(4),
        tool=duration(3.5),
        hidden=duration(2.5),
        serial=duration(7.5),
        ideal=duration(5),
        attained=1.0,
    )
    assert last.usage.completion_tokens == 4


async def test_each_unit_says_when_its_text_was_there_and_how_much_was_hidden():
    _, told, _ = await overlapped()
    (call,) = told.live.calls.values()
    assert [(one.text_at, one.at, one.busy, one.hidden) for one in call.units] == [(1, 2.5, 1.5, 1.5), (3, 5, 2, 1)]
    assert [one.how_hidden() for one in call.units] == ["hidden", "1.00 s hidden"]


async def test_it_is_told_as_a_completion_is():
    turn, told, _ = await overlapped()
    assert told.kinds() == [
        "turn_started",
        "text_delta",
        "call_opened",
        "call_started",
        "text_delta",
        "unit_finished",
        "text_delta",
        "text_delta",
        "turn_decoded",
        "unit_finished",
        "call_finished",
        "turn_finished",
        "finished",
    ]
    assert turn.outcome is not None
    assert turn.outcome.result == "42"


async def test_the_outcome_is_the_first_calls():
    turn = PacedTurn(["a"], 1, Told(), FakeClock())
    await written(turn, FakeClock())
    second = pb.ExecuteResponse(call_opened=pb.CallOpened(call_id="d", name="echo"))
    for response in (OPENED, second, finished(0, result="first"), finished(0, "d", result="second")):
        turn.take(response)
    assert turn.outcome is not None
    assert turn.outcome.result == "first"


async def test_events_of_unknown_kinds_change_nothing():
    told = Told()
    PacedTurn(["a"], 1, told, FakeClock()).take(pb.ExecuteResponse())
    assert told.events == []


@pytest.mark.parametrize("set_before", [True, False])
async def test_the_loops_clock_says_whether_the_event_came(set_before):
    clock, event = LoopClock(), asyncio.Event()
    if set_before:
        event.set()
    assert await clock.comes(event, clock.now()) is set_before


async def test_the_loops_clock_hears_of_the_event_at_once():
    clock, event = LoopClock(), asyncio.Event()
    asyncio.get_running_loop().call_soon(event.set)
    async with asyncio.timeout(5):
        assert await clock.comes(event, clock.now() + 3600)
