"""Events of the tool service as events of a completion, for commands that speak to the tool service alone."""

from google.protobuf.message import Message

from gateway.wire import copy
from protos.conveyor.gateway.v1 import gateway_pb2
from protos.conveyor.tool.v1 import tool_pb2

_ALIKE: dict[str, type[Message]] = {
    "call_opened": gateway_pb2.CallOpened,
    "arguments_delta": gateway_pb2.ArgumentsDelta,
    "call_started": gateway_pb2.CallStarted,
    "call_output": gateway_pb2.CallOutput,
    "call_artifact": gateway_pb2.CallArtifact,
    "approval_awaited": gateway_pb2.ApprovalAwaited,
    "turn_vetoed": gateway_pb2.TurnVetoed,
}


def of_completion(response: tool_pb2.ExecuteResponse) -> dict[str, Message]:
    """The event as the one keyword argument that `CompleteResponse` takes; none for a kind that is not known here."""
    kind = response.WhichOneof("event")
    if kind in _ALIKE:
        return {kind: copy(getattr(response, kind), _ALIKE[kind])}
    if kind == "unit_finished":
        return {kind: _unit(response.unit_finished)}
    if kind == "call_finished":
        return {kind: _finished(response.call_finished)}
    return {}


def _unit(event: tool_pb2.UnitFinished) -> gateway_pb2.UnitFinished:
    unit = event.unit
    return gateway_pb2.UnitFinished(
        call_id=event.call_id, label=unit.label, text_offset=unit.text_offset, busy=unit.busy
    )


def _finished(event: tool_pb2.CallFinished) -> gateway_pb2.CallFinished:
    finished = gateway_pb2.CallFinished(
        call_id=event.call_id, arguments_json=event.arguments_json, busy=event.timing.busy, waiting=event.timing.waiting
    )
    if event.HasField("error"):
        finished.error.CopyFrom(copy(event.error, gateway_pb2.ToolError))
    else:
        finished.result = event.result
    return finished
