"""Between the contract's messages and the service's own types."""

import json
from typing import Any

from google.protobuf.duration_pb2 import Duration

from protos.conveyor.tool.v1 import tool_pb2
from protos.rpc import context
from protos.rpc.errors import Reason, ServiceError, reject, reject_field
from tool_service.execution import events
from tool_service.execution.host import Opened, Start
from tool_service.execution.runner import Limits, Mode
from tool_service.execution.shared import MAX_CALLS_PER_TURN
from tool_service.formats.format import EndReason, Format
from tool_service.interface.client_function import ClientFunction, client_function
from tool_service.interface.effect import Effect
from tool_service.interface.schema import InvalidToolError
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
    names = [*start.tools, *(function.name for function in start.functions)]
    if not names or len(set(names)) != len(names):
        told = f"and functions are {names}; name at least one, and none twice"
        reject_field(Reason.INVALID_TOOL_USE, "tools", told)
    if start.mode not in _MODES:
        reject_field(Reason.INVALID_TOOL_USE, "mode", f"= {start.mode} is unknown")
    request_id = context.current().request_id
    return Start(
        start.format,
        tuple(start.tools),
        _MODES[start.mode],
        _limits(start.limits, settings),
        start.required_tool,
        f"{start.caller}/{request_id}" if start.caller else request_id,
        start.stream_arguments,
        tuple(_function(place, function) for place, function in enumerate(start.functions)),
        tuple(tuple(_said(call) for call in said.calls) for said in start.said),
        start.stream_content,
        start.single_call,
    )


def parse_end(end: tool_pb2.TurnEnd) -> EndReason:
    """Checks a `TurnEnd`. Raises ServiceError."""
    if end.reason not in _END_REASONS:
        reject(Reason.PROTOCOL_VIOLATION, f"turn_end.reason = {end.reason} is unknown")
    return _END_REASONS[end.reason]


def _function(place: int, function: tool_pb2.Function) -> ClientFunction:
    try:
        schema = json.loads(function.parameters_json_schema or "{}")
        if not isinstance(schema, dict):
            raise InvalidToolError("its parameters are no JSON object")
        return client_function(function.name, function.description, schema)
    except (ValueError, RecursionError, InvalidToolError) as error:
        field = f"functions[{place}]"
        told = f"{field}, {function.name[:100]!r}, cannot be offered: {error}"
        raise ServiceError(Reason.INVALID_SCHEMA, told, field=field) from error


def _said(call: tool_pb2.SaidCall) -> tuple[str, dict[str, Any]]:
    try:
        arguments = json.loads(call.arguments_json)
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        reject(Reason.INVALID_MESSAGE, f"arguments of the call of {call.name[:100]!r} are no JSON object")
    return call.name, arguments


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
            reject_field(Reason.INVALID_LIMIT, f"limits.{name}", f"= {value}; it must be between 0 and {most}")
    return Limits(calls or MAX_CALLS_PER_TURN, chars or settings.max_result_chars, timeout or settings.max_call_seconds)


def started(opened: Opened, instance: str) -> tool_pb2.ExecuteResponse:
    """The answer to `Start` by the process `instance`."""
    return tool_pb2.ExecuteResponse(
        started=tool_pb2.Started(
            tools=[tool_message(tool) for tool in opened.tools],
            instructions=opened.instructions,
            template_native=opened.format.template_native,
            grammar=opened.grammar,
            stops=[tool_pb2.TurnStop(after=stop.after, text=stop.text) for stop in opened.format.stops],
            instance=instance,
            said=opened.said,
        )
    )


def tool_message(tool: Tool) -> tool_pb2.Tool:
    """A tool, for `ListTools` and `Started`."""
    return tool_pb2.Tool(
        name=tool.name,
        description=tool.description,
        parameters_json_schema=json.dumps(tool.signature.json_schema, ensure_ascii=False),
        effect=_EFFECTS[tool.effect],
        partial=tool.starts_early,
        needs_approval=tool.asks,
        timeout=_duration(tool.timeout),
    )


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
    match event:
        case events.CallOpened():
            return tool_pb2.ExecuteResponse(call_opened=_opened(event))
        case events.ContentDelta():
            content = tool_pb2.ContentDelta(text=event.text, reasoning=event.reasoning)
            return tool_pb2.ExecuteResponse(content_delta=content)
        case events.ArgumentsDelta():
            return tool_pb2.ExecuteResponse(arguments_delta=_delta(event))
        case events.CallStarted():
            started = tool_pb2.CallStarted(call_id=event.call_id, after=event.after)
            return tool_pb2.ExecuteResponse(call_started=started)
        case events.UnitFinished():
            return tool_pb2.ExecuteResponse(unit_finished=_unit(event))
        case events.CallOutput():
            return tool_pb2.ExecuteResponse(call_output=tool_pb2.CallOutput(call_id=event.call_id, text=event.text))
        case events.CallArtifact():
            return tool_pb2.ExecuteResponse(call_artifact=_artifact(event))
        case events.ApprovalAwaited():
            return tool_pb2.ExecuteResponse(approval_awaited=_awaited(event))
        case events.CallFinished():
            return tool_pb2.ExecuteResponse(call_finished=_finished(event))
        case events.TurnFilled():
            return tool_pb2.ExecuteResponse(turn_filled=tool_pb2.TurnFilled())
        case events.TurnVetoed():
            return tool_pb2.ExecuteResponse(turn_vetoed=tool_pb2.TurnVetoed(call_id=event.call_id, reason=event.reason))
        case events.TurnFinished():
            return tool_pb2.ExecuteResponse(turn_finished=tool_pb2.TurnFinished(call_count=event.call_count))


def _opened(event: events.CallOpened) -> tool_pb2.CallOpened:
    return tool_pb2.CallOpened(
        call_id=event.call_id, name=event.name, text_offset=event.offset, parent_id=event.parent_id
    )


def _delta(event: events.ArgumentsDelta) -> tool_pb2.ArgumentsDelta:
    return tool_pb2.ArgumentsDelta(
        call_id=event.call_id, argument=event.argument, text=event.text, value_json=event.value_json
    )


def _unit(event: events.UnitFinished) -> tool_pb2.UnitFinished:
    unit = event.unit
    told = tool_pb2.Unit(label=unit.label, text_offset=unit.offset, busy=_duration(unit.busy))
    return tool_pb2.UnitFinished(call_id=event.call_id, unit=told)


def _artifact(event: events.CallArtifact) -> tool_pb2.CallArtifact:
    artifact = event.artifact
    return tool_pb2.CallArtifact(
        call_id=event.call_id, name=artifact.name, media_type=artifact.media_type, data=artifact.data
    )


def _awaited(event: events.ApprovalAwaited) -> tool_pb2.ApprovalAwaited:
    return tool_pb2.ApprovalAwaited(
        call_id=event.call_id,
        request_id=event.request_id,
        arguments_json=event.arguments_json,
        timeout=_duration(event.timeout),
    )


def _finished(event: events.CallFinished) -> tool_pb2.CallFinished:
    outcome = event.outcome
    failure = outcome if isinstance(outcome, events.Failure) else None
    return tool_pb2.CallFinished(
        call_id=event.call_id,
        arguments_json=event.arguments_json,
        error=None if failure is None else tool_pb2.ToolError(code=failure.code, message=failure.message),
        result=outcome if isinstance(outcome, str) else None,
        handed_over=tool_pb2.HandedOver() if isinstance(outcome, events.HandedOver) else None,
        timing=tool_pb2.Timing(
            busy=_duration(event.busy), waiting=_duration(event.waiting), queued=_duration(event.queued)
        ),
    )


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(int(seconds * 1e9))
    return duration
