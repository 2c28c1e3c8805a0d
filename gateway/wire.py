"""Turns our own types into the messages of the gateway's contract and the decoder's, and back.

Events that are alike in both are copied (`protos/rpc/translation.py`). Only `Finished` differs, and is not.
"""

from typing import cast

from google.protobuf.duration_pb2 import Duration

from gateway import ledger
from gateway.request import Completion, Message
from protos.conveyor.decoder.v1 import decoder_pb2
from protos.conveyor.gateway.v1 import gateway_pb2
from protos.rpc.translation import copy

__all__ = ["copy", "duration", "seconds", "to_finished", "to_ledger", "to_start", "to_timeline"]


def to_start(completion: Completion, caller: str = "") -> decoder_pb2.Start:
    """What the decoder is to do for a `completion` of `caller`."""
    use, sampling, limits = completion.tool_use, completion.sampling, completion.limits
    return decoder_pb2.Start(
        messages=list(map(_message, completion.messages)),
        tool_use=None
        if use is None
        else decoder_pb2.ToolUse(
            format=use.format,
            tools=use.tools,
            mode=decoder_pb2.Mode.Name(use.mode),
            choice=use.choice,
            stream_arguments=use.stream_arguments,
            stream_content=use.stream_content,
            single_call=use.single_call,
            functions=[
                decoder_pb2.Function(
                    name=function.name,
                    description=function.description,
                    parameters_json_schema=function.parameters_json_schema,
                )
                for function in use.functions
            ],
        ),
        sampling=decoder_pb2.Sampling(
            temperature=sampling.temperature, top_p=sampling.top_p, top_k=sampling.top_k, seed=sampling.seed
        ),
        limits=decoder_pb2.Limits(max_tokens=limits.max_tokens, max_turns=limits.max_turns, stop=limits.stop),
        replay=completion.replay,
        response_json_schema=completion.response_json_schema,
        caller=caller,
    )


def _message(said: Message) -> decoder_pb2.Message:
    calls = [
        decoder_pb2.SaidCall(call_id=call.call_id, name=call.name, arguments_json=call.arguments_json)
        for call in said.calls
    ]
    return decoder_pb2.Message(role=said.role, content=said.content, calls=calls, call_id=said.call_id)


def to_timeline(response: decoder_pb2.GenerateResponse, kind: str) -> ledger.Event | None:
    """What the ledger wants to know of the event `kind`; None for events that it does not count."""
    at = seconds(response.at)
    match kind:
        case "text_delta":
            return ledger.TextDecoded(at, len(response.text_delta.text))
        case "call_started":
            started = response.call_started
            return ledger.CallStarted(at, started.call_id, tuple(started.after))
        case "unit_finished":
            unit = response.unit_finished
            return ledger.UnitFinished(at, unit.call_id, unit.text_offset, seconds(unit.busy))
        case "call_finished":
            return ledger.CallFinished(at, response.call_finished.call_id, seconds(response.call_finished.busy))
        case "turn_decoded":
            return ledger.TurnDecoded(at)
        case "turn_finished":
            return ledger.TurnFinished(at)
    return None


def to_finished(
    finished: decoder_pb2.Finished, request_id: str, account: ledger.Ledger
) -> gateway_pb2.CompleteResponse:
    """The last event of a completion."""
    return gateway_pb2.CompleteResponse(
        at=duration(account.completion),
        finished=gateway_pb2.Finished(
            request_id=request_id,
            finish_reason=cast(gateway_pb2.FinishReason, finished.finish_reason),
            usage=copy(finished.usage, gateway_pb2.Usage),
            ledger=to_ledger(account),
        ),
    )


def to_ledger(account: ledger.Ledger) -> gateway_pb2.Ledger:
    """The ledger as a message."""
    return gateway_pb2.Ledger(
        completion=duration(account.completion),
        decode=duration(account.decode),
        tool=duration(account.tool),
        hidden=duration(account.hidden),
        serial=duration(account.serial),
        ideal=duration(account.ideal),
        attained=account.attained,
    )


def seconds(value: Duration) -> float:
    """A duration in seconds."""
    return value.seconds + value.nanos / 1e9


def duration(value: float) -> Duration:
    """Seconds as a duration, to the nanosecond."""
    whole, nanos = divmod(round(value * 1e9), 1_000_000_000)
    return Duration(seconds=whole, nanos=nanos)
