"""Events of the tool service as events of the decoder."""

import json
from collections.abc import Iterable

from google.protobuf.message import Message

from protos.conveyor.decoder.v1 import decoder_pb2
from protos.conveyor.tool.v1 import tool_pb2
from protos.rpc.translation import tool_event

FINISH_REASONS = {
    "stop": decoder_pb2.FINISH_REASON_STOP,
    "length": decoder_pb2.FINISH_REASON_LENGTH,
    "veto": decoder_pb2.FINISH_REASON_VETO,
}


def from_tool_event(response: tool_pb2.ExecuteResponse) -> dict[str, Message]:
    """The event as the one keyword argument that `GenerateResponse` takes. Raises ValueError for any other."""
    event = tool_event(response, decoder_pb2)
    if not event:
        raise ValueError(f"unexpected event {response.WhichOneof('event')!r} of the tool service")
    return event


def said_calls(calls: Iterable[decoder_pb2.SaidCall]) -> tool_pb2.SaidCalls:
    """Calls of an earlier turn, for the tool service to write."""
    return tool_pb2.SaidCalls(
        calls=[tool_pb2.SaidCall(name=call.name, arguments_json=call.arguments_json) for call in calls]
    )


def plain_calls(calls: Iterable[decoder_pb2.SaidCall]) -> str:
    """The same in no format."""
    return "\n".join(f'{{"name": {json.dumps(call.name)}, "arguments": {call.arguments_json}}}' for call in calls)


def result_text(finished: tool_pb2.CallFinished) -> str:
    """What the model reads of a call's outcome."""
    if finished.WhichOneof("outcome") == "error":
        return f"Error ({finished.error.code}): {finished.error.message}"
    return finished.result or "(no output)"
