"""Recordings: who follows sees every event once, from where it wants to, within a limit."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.archive import recording as module
from gateway.archive.recording import Budget, Recording
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.rpc.errors import Reason, ServiceError

REQUEST = pb.CompleteRequest(
    messages=[pb.Message(role="system", content="Be brief."), pb.Message(role="user", content="x" * 300)],
    tool_use=pb.ToolUse(format="json", tools=["plan"], mode=pb.MODE_SERIAL),
)
FINISHED = pb.CompleteResponse(finished=pb.Finished(finish_reason=pb.FINISH_REASON_STOP, ledger=pb.Ledger()))


def recording(most: int = 1 << 20) -> Recording:
    return Recording("id", "", 1.5, REQUEST, Budget(most))


def text(number: int) -> pb.CompleteResponse:
    return pb.CompleteResponse(text_delta=pb.TextDelta(text=f"{number} "))


async def numbers(recorded: Recording, after: int) -> list[int]:
    return [number async for number, _ in recorded.follow(after)]


@given(before=st.integers(0, 5), meanwhile=st.integers(0, 5), after=st.integers(0, 12), ends_badly=st.booleans())
def test_whoever_follows_sees_each_event_behind_its_place_once(
    before: int, meanwhile: int, after: int, ends_badly: bool
) -> None:
    async def follow() -> None:
        recorded = recording()
        for number in range(before):
            recorded.add(text(number))
        following = asyncio.create_task(numbers(recorded, after))
        for number in range(meanwhile):
            await asyncio.sleep(0)
            recorded.add(text(number))
        recorded.end(ServiceError(Reason.CANCELLED, "gone") if ends_badly else None)
        assert await following == list(range(after + 1, before + meanwhile + 1))

    asyncio.run(follow())


async def test_two_may_follow_and_one_may_leave() -> None:
    recorded = recording()
    leaving, staying = (asyncio.create_task(numbers(recorded, 0)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    recorded.add(text(0))
    recorded.end(None)
    assert await staying == [1]
    with pytest.raises(asyncio.CancelledError):
        await leaving


def test_its_summary_says_how_it_stands() -> None:
    recorded = recording()
    summary = recorded.summary()
    assert (summary.state, summary.mode, summary.tools, len(summary.prompt)) == ("running", "serial", ("plan",), 200)
    recorded.add(FINISHED)
    recorded.end(ServiceError(Reason.CANCELLED, "the client left after the last event"))
    summary = recorded.summary()
    assert (summary.state, summary.finish_reason, summary.error) == ("finished", "stop", None)
    failed = recording()
    failed.end(ServiceError(Reason.OVERLOADED, "too many"))
    assert failed.summary().state == "failed"
    assert failed.summary().error == {"code": "overloaded", "message": "too many"}


def test_what_there_is_too_much_of_is_cut_and_what_a_timeline_needs_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    recorded = recording()
    for _ in range(10):
        recorded.add(pb.CompleteResponse(call_output=pb.CallOutput(call_id="c", text="x" * 150)))
    recorded.add(pb.CompleteResponse(turn_decoded=pb.TurnDecoded()))
    recorded.add(FINISHED)
    kinds = [pb.CompleteResponse.FromString(event).WhichOneof("event") for event in recorded.events]
    assert kinds == ["call_output"] * 4 + ["turn_decoded", "finished"]
    assert recorded.summary().cut


def test_of_calls_without_end_the_last_event_is_there_and_what_they_said_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 10_000)
    recorded = recording()
    said = pb.CallFinished(call_id="c", result="x" * 600, arguments_json="y" * 600)
    for _ in range(400):
        recorded.add(pb.CompleteResponse(call_finished=said))
    recorded.add(FINISHED)
    recorded.end(None)
    *calls, last = map(pb.CompleteResponse.FromString, recorded.events)
    assert last.WhichOneof("event") == "finished" and recorded.summary().cut
    assert calls[0].call_finished == said
    assert calls[-1].call_finished == pb.CallFinished(call_id="c", result="")
    assert sum(map(len, recorded.events)) < 20_200


def test_what_was_asked_counts_among_what_is_held() -> None:
    budget = Budget(1000)
    large = pb.CompleteRequest(messages=[pb.Message(role="user", content="x" * 1000)])
    recorded = Recording("a", "", 0.0, large, budget)
    assert budget.taken == large.ByteSize()
    recorded.add(text(0))
    recorded.add(FINISHED)
    assert len(recorded.events) == 1 and recorded.summary().cut
    recorded.release()
    assert budget.taken == 0


def test_all_that_run_share_a_budget_and_give_it_back() -> None:
    budget = Budget(500 + 2 * REQUEST.ByteSize())
    first, second = (Recording(name, "", 0.0, REQUEST, budget) for name in ("a", "b"))
    large = pb.CompleteResponse(text_delta=pb.TextDelta(text="x" * 300))
    first.add(large)
    second.add(large)
    assert (len(first.events), len(second.events)) == (1, 0)
    first.release()
    second.add(large)
    assert len(second.events) == 1 and budget.taken > 300 + REQUEST.ByteSize()
    second.release()
    assert budget.taken == 0


async def test_cancelling_reaches_the_work_once_and_not_when_it_has_ended() -> None:
    recorded, cancelled = recording(), []
    recorded.on_cancel(lambda: cancelled.append(True))
    recorded.cancel()
    recorded.end(None)
    recorded.cancel()
    assert cancelled == [True]
    await recorded.until_ended()
