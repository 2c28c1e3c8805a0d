"""Between the contract's messages and the service's own types."""

import json

from protos.conveyor.tool.v1 import tool_pb2
from protos.rpc import context
from protos.rpc.errors import Reason, reject
from tool_service.execution import events
from tool_service.execution.host import Opened, Start
from tool_service.execution.runner import Limits, Mode
from tool_service.execution.shared import MAX_CALLS_PER_TURN
from tool_service.formats.format import EndReason, Format
from tool_service.interface.effect import Effect
from tool_service.interface.tool import Tool
from tool_service.settings import ToolSettings

_MODES = {
    tool_pb2.MODE_UNSPECIFIED: Mode.PARTIAL,
    tool_pb2.MODE_SERIAL: Mode.SERIAL,
    tool_pb2.MODE_PARALLEL: Mode.PARALLEL,
    tool_pb2.MODE_ON_SEAL: Mode.ON_SEAL,
    tool_pb2.MODE_PARTIAL: Mode.PARTIAL,
}
_END_REASONS: dict[int, EndReason] = {
    tool_pb2.TURN_END_REASON_STOP: "stop",
    tool_pb2.TURN_END_REASON_LENGTH: "length",
    tool_pb2.TURN_END_REASON_VETO: "veto",
}
_EFFECTS = {
    Effect.NONE: tool_pb2.EFFECT_NONE,
    Effect.READ: tool_pb2.EFFECT_READ,
    Effect.IDEMPOTENT: tool_pb2.EFFECT_IDEMPOTENT,
    Effect.WRITE: tool_pb2.EFFECT_WRITE,
}


def parse_start(start: tool_pb2.Start, settings: ToolSettings) -> Start:
    """Checks a `Start`. Raises ServiceError."""
    if not start.tools or len(set(start.tools)) != len(start.tools):
        reject(Reason.INVALID_TOOL_USE, f"start.tools = {list(start.tools)}; name at least one tool, and none twice")
    if start.mode not in _MODES:
        reject(Reason.INVALID_TOOL_USE, f"start.mode = {start.mode} is unknown")
    return Start(
        start.format,
        tuple(start.tools),
        _MODES[start.mode],
        _limits(start.limits, settings),
        start.required_tool,
        context.current().request_id,
    )


def parse_end(end: tool_pb2.TurnEnd) -> EndReason:
    """Checks a `TurnEnd`. Raises ServiceError."""
    if end.reason not in _END_REASONS:
        reject(Reason.PROTOCOL_VIOLATION, f"turn_end.reason = {end.reason} is unknown")
    return _END_REASONS[end.reason]


def _limits(limits: tool_pb2.Limits, settings: ToolSettings) -> Limits:
    calls, chars, timeout = (
        limits.max_calls_per_turn,
        limits.max_result_chars,
        limits.call_timeout.ToNanoseconds() / 1e9,
    )
    for name, value, most in (
        ("max_calls_per_turn", calls, MAX_CALLS_PER_TURN),
        ("max_result_chars", chars, settings.max_result_chars),
        ("call_timeout", timeout, settings.max_call_seconds),
    ):
        if not 0 <= value <= most:
            reject(Reason.INVALID_LIMIT, f"start.limits.{name} = {value}; it must be between 0 and {most}")
    return Limits(calls or MAX_CALLS_PER_TURN, chars or settings.max_result_chars, timeout or settings.max_call_seconds)


def started(opened: Opened) -> tool_pb2.ExecuteResponse:
    """The answer to `Start`."""
    return tool_pb2.ExecuteResponse(
        started=tool_pb2.Started(
            tools=[tool_message(tool) for tool in opened.tools],
            instructions=opened.instructions,
            template_native=opened.format.template_native,
            grammar=opened.grammar,
            stops=[tool_pb2.TurnStop(after=stop.after, text=stop.text) for stop in opened.format.stops],
        )
    )


def tool_message(tool: Tool) -> tool_pb2.Tool:
    """A tool, for `ListTools` and `Started`."""
    message = tool_pb2.Tool(
        name=tool.name,
        description=tool.description,
        parameters_json_schema=json.dumps(tool.signature.json_schema, ensure_ascii=False),
        effect=_EFFECTS[tool.effect],
        partial=tool.starts_early,
        needs_approval=tool.asks,
    )
    message.timeout.FromNanoseconds(int(tool.timeout * 1e9))
    return message


def format_message(format_: Format, calls_others: bool) -> tool_pb2.Format:
    """A format, for `ListTools`."""
    return tool_pb2.Format(
        name=format_.name,
        description=format_.description,
        only_tool=format_.only_tool,
        calls_others=calls_others,
    )


def event_message(event: events.Event) -> tool_pb2.ExecuteResponse:
    """An event of the execution, for the wire."""
    response = tool_pb2.ExecuteResponse()
    match event:
        case events.CallOpened():
            response.call_opened.call_id, response.call_opened.name = event.call_id, event.name
            response.call_opened.text_offset, response.call_opened.parent_id = event.offset, event.parent_id
        case events.ArgumentsDelta():
            delta = tool_pb2.ArgumentsDelta(
                call_id=event.call_id, argument=event.argument, text=event.text, value_json=event.value_json
            )
            response.arguments_delta.CopyFrom(delta)
        case events.CallStarted():
            response.call_started.call_id = event.call_id
            response.call_started.after.extend(event.after)
        case events.UnitFinished():
            unit = response.unit_finished.unit
            response.unit_finished.call_id, unit.label, unit.text_offset = (
                event.call_id,
                event.unit.label,
                event.unit.offset,
            )
            unit.busy.FromNanoseconds(int(event.unit.busy * 1e9))
        case events.CallOutput():
            response.call_output.call_id, response.call_output.text = event.call_id, event.text
        case events.CallArtifact():
            artifact = event.artifact
            message = tool_pb2.CallArtifact(
                call_id=event.call_id, name=artifact.name, media_type=artifact.media_type, data=artifact.data
            )
            response.call_artifact.CopyFrom(message)
        case events.ApprovalAwaited():
            awaited = response.approval_awaited
            awaited.call_id, awaited.request_id = event.call_id, event.request_id
            awaited.arguments_json = event.arguments_json
            awaited.timeout.FromNanoseconds(int(event.timeout * 1e9))
        case events.CallFinished():
            _fill_finished(response.call_finished, event)
        case events.TurnVetoed():
            response.turn_vetoed.call_id, response.turn_vetoed.reason = event.call_id, event.reason
        case events.TurnFinished():
            response.turn_finished.call_count = event.call_count
    return response


def _fill_finished(message: tool_pb2.CallFinished, event: events.CallFinished) -> None:
    message.call_id, message.arguments_json = event.call_id, event.arguments_json
    if isinstance(event.outcome, events.Failure):
        message.error.code, message.error.message = event.outcome.code, event.outcome.message
    else:
        message.result = event.outcome
    for field, seconds in (("busy", event.busy), ("waiting", event.waiting), ("queued", event.queued)):
        getattr(message.timing, field).FromNanoseconds(int(seconds * 1e9))
