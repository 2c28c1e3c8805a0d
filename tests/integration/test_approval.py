"""Calls that wait for a person, over real gRPC: at the tool service alone, and through all services with the model."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import grpc
import pytest

from decoder_service.models.loader import LoadedModel
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.conveyor.tool.v1 import tool_pb2, tool_pb2_grpc
from protos.rpc.errors import Reason, from_rpc_error
from tests.integration.stack import Answer, Stack, running_stack, tool_service
from tool_service.interface import Arg, Call, Effect, Tool, tool

BOUND = 20.0


def sending(acts: list[str]) -> Tool:
    @tool(effect=Effect.WRITE, approve="ask", timeout=5)
    async def send(to: Arg[str], call: Call) -> str:
        """Send a letter."""
        await call.sealed()
        acts.append(f"{call.key} {await to}")
        return f"sent to {await to}"

    return send


def written(to: str = "ada") -> str:
    return f"<tool_call>\n{json.dumps({'name': 'send', 'arguments': {'to': to}})}\n</tool_call>"


# --- the tool service alone -----------------------------------------------------------------------------------------

Execute = grpc.aio.StreamStreamCall[tool_pb2.ExecuteRequest, tool_pb2.ExecuteResponse]


@contextlib.asynccontextmanager
async def executing(acts: list[str]) -> AsyncIterator[Execute]:
    """A stream of one completion whose first turn ended in a call that waits."""
    async with (
        asyncio.timeout(BOUND),
        tool_service([sending(acts)]) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        call = tool_pb2_grpc.ToolServiceStub(channel).Execute()  # type: ignore[no-untyped-call]
        await call.write(tool_pb2.ExecuteRequest(start=tool_pb2.Start(format="hermes", tools=["send"])))
        await call.write(tool_pb2.ExecuteRequest(text_delta=tool_pb2.TextDelta(text=written())))
        await call.write(tool_pb2.ExecuteRequest(turn_end=tool_pb2.TurnEnd(reason=tool_pb2.TURN_END_REASON_STOP)))
        await until(call, "approval_awaited")
        yield call
        call.cancel()


async def until(call: Execute, kind: str) -> tool_pb2.ExecuteResponse:
    while (response := await call.read()).WhichOneof("event") != kind:
        pass
    return response


def decide(call_id: str, approved: bool, reason: str = "") -> tool_pb2.ExecuteRequest:
    return tool_pb2.ExecuteRequest(decide=tool_pb2.Decide(call_id=call_id, approved=approved, reason=reason))


async def test_a_decision_is_heard_while_the_turns_end_waits_for_it() -> None:
    acts: list[str] = []
    async with executing(acts) as call:
        for other in ("call_9", ""):
            await call.write(decide(other, True))
        await call.write(decide("call_1", True))
        assert (await until(call, "call_finished")).call_finished.result == "sent to ada"
        await until(call, "turn_finished")
        await call.write(tool_pb2.ExecuteRequest(text_delta=tool_pb2.TextDelta(text=written("bob"))))
        await until(call, "approval_awaited")
        await call.write(decide("call_1", True))  # of the turn before
        await call.write(decide("call_2", False, "not bob"))
        assert (await until(call, "call_finished")).call_finished.error.message == "A person refused this call: not bob"
    assert [act.split()[1] for act in acts] == ["ada"]


@pytest.mark.parametrize(
    "early",
    [
        tool_pb2.ExecuteRequest(text_delta=tool_pb2.TextDelta(text="more")),
        tool_pb2.ExecuteRequest(turn_end=tool_pb2.TurnEnd(reason=tool_pb2.TURN_END_REASON_STOP)),
        tool_pb2.ExecuteRequest(start=tool_pb2.Start(format="hermes", tools=["send"])),
        tool_pb2.ExecuteRequest(),
    ],
)
async def test_nothing_but_a_decision_may_come_before_the_turn_is_finished(early: tool_pb2.ExecuteRequest) -> None:
    acts: list[str] = []
    async with executing(acts) as call:
        await call.write(early)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            while await call.read() is not grpc.aio.EOF:
                pass
            raise AssertionError(await call.code())
    assert from_rpc_error(refused.value, Reason.INTERNAL).reason is Reason.PROTOCOL_VIOLATION
    assert acts == []


async def test_a_caller_that_has_no_more_to_say_still_hears_the_end() -> None:
    acts: list[str] = []
    async with executing(acts) as call:
        await call.write(decide("call_1", True))
        await call.done_writing()
        await until(call, "turn_finished")
        assert await call.read() is grpc.aio.EOF
    assert len(acts) == 1


# --- through all services -------------------------------------------------------------------------------------------


class Completion:
    """A completion that runs, and what it has said so far."""

    def __init__(self, stack: Stack, request_id: str) -> None:
        request = pb.CompleteRequest(
            messages=[pb.Message(role="user", content="Write to Ada.")],
            tool_use=pb.ToolUse(format="hermes", tools=["send"]),
            replay=[written(), "Done."],
            limits=pb.Limits(max_turns=2, max_tokens=100),
        )
        self.answer = Answer()
        self._stub = stack.client
        self._call = stack.client.Complete(request, timeout=60, metadata=(("x-request-id", request_id),))
        self._events = aiter(self._call)

    async def until(self, kind: str) -> pb.CompleteResponse:
        async for event in self._events:
            self.answer.events.append(event)
            if event.WhichOneof("event") == kind:
                return event
        raise AssertionError(f"no {kind} came")

    async def approve(self, approved: bool, **fields: str) -> None:
        request = {"request_id": self.answer.of("approval_awaited")[0].approval_awaited.request_id, "call_id": "call_1"}
        await self._stub.Approve(pb.ApproveRequest(**{**request, **fields}, approved=approved), timeout=10)

    def cancel(self) -> None:
        self._call.cancel()


async def refused(stack: Stack, request_id: str, call_id: str) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await stack.client.Approve(pb.ApproveRequest(request_id=request_id, call_id=call_id, approved=True), timeout=10)
    return error.value


@pytest.mark.timeout(240)  # the first test may have to convert the model
async def test_a_call_acts_when_it_is_allowed_and_once_however_often_it_is_sent(any_model: LoadedModel) -> None:
    acts: list[str] = []
    async with running_stack(any_model, [sending(acts)]) as stack:
        first = Completion(stack, "letter-1")
        awaited = (await first.until("approval_awaited")).approval_awaited
        assert (awaited.request_id, awaited.call_id) == ("letter-1", "call_1")
        assert json.loads(awaited.arguments_json) == {"to": "ada"}
        assert awaited.timeout.ToSeconds() == 120
        assert acts == []
        await first.approve(True)
        await first.until("finished")
        assert [call.result for call in first.answer.calls] == ["sent to ada"]
        again = Completion(stack, "letter-1")
        await again.until("finished")
        assert again.answer.of("approval_awaited") == []
        assert [call.result for call in again.answer.calls] == ["sent to ada"]
    assert acts == ["letter-1/call_1 ada"]


@pytest.mark.timeout(240)
async def test_the_model_reads_that_it_was_refused(any_model: LoadedModel) -> None:
    acts: list[str] = []
    async with running_stack(any_model, [sending(acts)]) as stack:
        completion = Completion(stack, "letter-2")
        await completion.until("approval_awaited")
        await completion.approve(False, reason="not today")
        await completion.until("finished")
        error = completion.answer.calls[0].error
        first, second = (event.turn_decoded.usage for event in completion.answer.of("turn_decoded"))
    assert (error.code, error.message) == ("DENIED", "A person refused this call: not today")
    said = "Error (DENIED): A person refused this call: not today"
    read = second.prompt_tokens - first.prompt_tokens - first.completion_tokens
    assert read > len(any_model.tokenizer(said)["input_ids"])
    assert acts == []


@pytest.mark.timeout(240)
async def test_a_word_for_what_does_not_wait_is_refused_and_a_cancel_frees_all(any_model: LoadedModel) -> None:
    acts: list[str] = []
    async with running_stack(any_model, [sending(acts)]) as stack:
        completion = Completion(stack, "letter-3")
        await completion.until("approval_awaited")
        for request_id, call_id in (("letter-3", "call_2"), ("letter-4", "call_1"), ("", "")):
            error = await refused(stack, request_id, call_id)
            assert error.code() is grpc.StatusCode.NOT_FOUND
            assert from_rpc_error(error, Reason.INTERNAL).reason is Reason.NOT_AWAITED
        completion.cancel()
        async with asyncio.timeout(BOUND):
            while True:  # the gateway hears of the cancel in a moment
                error = await refused(stack, "letter-3", "call_9")
                if not [task for task in asyncio.all_tasks() if task.get_name().startswith("clearance")]:
                    break
                await asyncio.sleep(0.01)
        assert from_rpc_error(await refused(stack, "letter-3", "call_1"), Reason.INTERNAL).reason is Reason.NOT_AWAITED
        again = Completion(stack, "letter-3")  # nothing had been done
        await again.until("approval_awaited")
        await again.approve(True)
        await again.until("finished")
    assert acts == ["letter-3/call_1 ada"]
