"""Events of the tool service as events of the decoder."""

from google.protobuf.message import Message

from protos.conveyor.decoder.v1 import decoder_pb2
from protos.conveyor.tool.v1 import tool_pb2

FINISH_REASONS = {
    "stop": decoder_pb2.FINISH_REASON_STOP,
    "length": decoder_pb2.FINISH_REASON_LENGTH,
    "veto": decoder_pb2.FINISH_REASON_VETO,
}


def from_tool_event(response: tool_pb2.ExecuteResponse) -> dict[str, Message]:
    """The event as the one keyword argument that `GenerateResponse` takes."""
    match response.WhichOneof("event"):
        case "call_opened":
            opened = response.call_opened
            return {
                "call_opened": decoder_pb2.CallOpened(
                    call_id=opened.call_id,
                    name=opened.name,
                    text_offset=opened.text_offset,
                    parent_id=opened.parent_id,
                )
            }
        case "arguments_delta":
            delta = response.arguments_delta
            piece = delta.WhichOneof("piece") or "text"
            return {
                "arguments_delta": decoder_pb2.ArgumentsDelta(
                    call_id=delta.call_id, argument=delta.argument, **{piece: getattr(delta, piece)}
                )
            }
        case "call_started":
            started = response.call_started
            return {"call_started": decoder_pb2.CallStarted(call_id=started.call_id, after=started.after)}
        case "unit_finished":
            return {"unit_finished": _unit(response.unit_finished)}
        case "call_output":
            return {
                "call_output": decoder_pb2.CallOutput(
                    call_id=response.call_output.call_id, text=response.call_output.text
                )
            }
        case "call_artifact":
            artifact = response.call_artifact
            return {
                "call_artifact": decoder_pb2.CallArtifact(
                    call_id=artifact.call_id, name=artifact.name, media_type=artifact.media_type, data=artifact.data
                )
            }
        case "approval_awaited":
            awaited = response.approval_awaited
            return {
                "approval_awaited": decoder_pb2.ApprovalAwaited(
                    call_id=awaited.call_id,
                    request_id=awaited.request_id,
                    arguments_json=awaited.arguments_json,
                    timeout=awaited.timeout,
                )
            }
        case "call_finished":
            return {"call_finished": _finished(response.call_finished)}
        case "turn_vetoed":
            vetoed = response.turn_vetoed
            return {"turn_vetoed": decoder_pb2.TurnVetoed(call_id=vetoed.call_id, reason=vetoed.reason)}
        case other:
            raise ValueError(f"unexpected event {other!r} of the tool service")


def result_text(finished: tool_pb2.CallFinished) -> str:
    """What the model reads of a call's outcome."""
    if finished.WhichOneof("outcome") == "error":
        return f"Error ({finished.error.code}): {finished.error.message}"
    return finished.result or "(no output)"


def _unit(event: tool_pb2.UnitFinished) -> decoder_pb2.UnitFinished:
    unit = event.unit
    return decoder_pb2.UnitFinished(
        call_id=event.call_id, label=unit.label, text_offset=unit.text_offset, busy=unit.busy
    )


def _finished(event: tool_pb2.CallFinished) -> decoder_pb2.CallFinished:
    finished = decoder_pb2.CallFinished(
        call_id=event.call_id, arguments_json=event.arguments_json, busy=event.timing.busy, waiting=event.timing.waiting
    )
    if event.WhichOneof("outcome") == "error":
        finished.error.code, finished.error.message = event.error.code, event.error.message
    else:
        finished.result = event.result
    return finished
