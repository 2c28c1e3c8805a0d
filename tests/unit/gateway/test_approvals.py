"""Which calls wait for a word, and whom it reaches."""

import pytest

from gateway.approvals import MAX_REASON_CHARS, Approvals, CompletionApprovals
from protos.conveyor.decoder.v1 import decoder_pb2
from protos.conveyor.gateway.v1 import gateway_pb2
from protos.rpc.errors import Reason, ServiceError


class Waiting:
    """A completion and the words that reached it."""

    def __init__(self) -> None:
        self.words: list[decoder_pb2.Decide] = []

    def decide(self, word: decoder_pb2.Decide) -> None:
        self.words.append(word)


def ask(calls: CompletionApprovals, call_id: str) -> None:
    calls.observe(decoder_pb2.GenerateResponse(approval_awaited=decoder_pb2.ApprovalAwaited(call_id=call_id)))


def finish(calls: CompletionApprovals, call_id: str) -> None:
    calls.observe(decoder_pb2.GenerateResponse(call_finished=decoder_pb2.CallFinished(call_id=call_id)))


def word(request_id: str = "r1", call_id: str = "call_1", **fields: object) -> gateway_pb2.ApproveRequest:
    return gateway_pb2.ApproveRequest(request_id=request_id, call_id=call_id, **fields)  # type: ignore[arg-type]


def refusal(approvals: Approvals, request: gateway_pb2.ApproveRequest) -> str:
    with pytest.raises(ServiceError) as refused:
        approvals.approve(request)
    return refused.value.reason


def test_a_word_reaches_the_call_that_waits_and_only_once() -> None:
    approvals, waiting = Approvals(), Waiting()
    with approvals.of("r1", waiting.decide) as calls:
        ask(calls, "call_1")
        approvals.approve(word(approved=False, reason="no"))
        assert waiting.words == [decoder_pb2.Decide(call_id="call_1", approved=False, reason="no")]
        assert refusal(approvals, word(approved=True)) == Reason.NOT_AWAITED


@pytest.mark.parametrize("other", [{"request_id": "r2"}, {"call_id": "call_2"}, {"call_id": ""}])
def test_no_other_call_is_reached(other: dict[str, str]) -> None:
    approvals, waiting = Approvals(), Waiting()
    with approvals.of("r1", waiting.decide) as calls:
        ask(calls, "call_1")
        assert refusal(approvals, word(**other)) == Reason.NOT_AWAITED
    assert waiting.words == []


def test_nothing_waits_after_the_end_of_its_call_or_completion() -> None:
    approvals, waiting = Approvals(), Waiting()
    with approvals.of("r1", waiting.decide) as calls:
        ask(calls, "call_1")
        ask(calls, "call_2")
        finish(calls, "call_1")
        finish(calls, "call_3")  # which never waited
        assert refusal(approvals, word()) == Reason.NOT_AWAITED
    assert refusal(approvals, word(call_id="call_2")) == Reason.NOT_AWAITED
    assert approvals._awaited == {}


def test_a_word_is_for_every_try_of_the_completion() -> None:
    approvals, first, second = Approvals(), Waiting(), Waiting()
    with approvals.of("r1", first.decide) as one:
        ask(one, "call_1")
        with approvals.of("r1", second.decide) as two:
            ask(two, "call_1")
        approvals.approve(word(approved=True))  # the second try has gone
        with approvals.of("r1", second.decide) as two:
            ask(one, "call_2")
            ask(two, "call_2")
            approvals.approve(word(call_id="call_2", approved=True))
    assert [said.call_id for said in first.words] == ["call_1", "call_2"]
    assert [said.call_id for said in second.words] == ["call_2"]


def test_a_reason_that_is_too_long_is_refused_and_the_call_still_waits() -> None:
    approvals, waiting = Approvals(), Waiting()
    with approvals.of("r1", waiting.decide) as calls:
        ask(calls, "call_1")
        assert refusal(approvals, word(reason="x" * (MAX_REASON_CHARS + 1))) == Reason.INVALID_LIMIT
        approvals.approve(word(reason="x" * MAX_REASON_CHARS))
    assert len(waiting.words) == 1
