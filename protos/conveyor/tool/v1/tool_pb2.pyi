import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODE_UNSPECIFIED: _ClassVar[Mode]
    MODE_SERIAL: _ClassVar[Mode]
    MODE_PARALLEL: _ClassVar[Mode]
    MODE_ON_SEAL: _ClassVar[Mode]
    MODE_PARTIAL: _ClassVar[Mode]

class TurnEndReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TURN_END_REASON_UNSPECIFIED: _ClassVar[TurnEndReason]
    TURN_END_REASON_STOP: _ClassVar[TurnEndReason]
    TURN_END_REASON_LENGTH: _ClassVar[TurnEndReason]
    TURN_END_REASON_VETO: _ClassVar[TurnEndReason]

class Effect(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EFFECT_UNSPECIFIED: _ClassVar[Effect]
    EFFECT_NONE: _ClassVar[Effect]
    EFFECT_READ: _ClassVar[Effect]
    EFFECT_IDEMPOTENT: _ClassVar[Effect]
    EFFECT_WRITE: _ClassVar[Effect]
MODE_UNSPECIFIED: Mode
MODE_SERIAL: Mode
MODE_PARALLEL: Mode
MODE_ON_SEAL: Mode
MODE_PARTIAL: Mode
TURN_END_REASON_UNSPECIFIED: TurnEndReason
TURN_END_REASON_STOP: TurnEndReason
TURN_END_REASON_LENGTH: TurnEndReason
TURN_END_REASON_VETO: TurnEndReason
EFFECT_UNSPECIFIED: Effect
EFFECT_NONE: Effect
EFFECT_READ: Effect
EFFECT_IDEMPOTENT: Effect
EFFECT_WRITE: Effect

class ExecuteRequest(_message.Message):
    __slots__ = ("start", "text_delta", "turn_end", "decide")
    START_FIELD_NUMBER: _ClassVar[int]
    TEXT_DELTA_FIELD_NUMBER: _ClassVar[int]
    TURN_END_FIELD_NUMBER: _ClassVar[int]
    DECIDE_FIELD_NUMBER: _ClassVar[int]
    start: Start
    text_delta: TextDelta
    turn_end: TurnEnd
    decide: Decide
    def __init__(self, start: _Optional[_Union[Start, _Mapping]] = ..., text_delta: _Optional[_Union[TextDelta, _Mapping]] = ..., turn_end: _Optional[_Union[TurnEnd, _Mapping]] = ..., decide: _Optional[_Union[Decide, _Mapping]] = ...) -> None: ...

class ExecuteResponse(_message.Message):
    __slots__ = ("started", "call_opened", "arguments_delta", "call_started", "unit_finished", "call_output", "call_finished", "turn_vetoed", "turn_finished", "call_artifact", "approval_awaited", "content_delta", "turn_filled")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    CALL_OPENED_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_DELTA_FIELD_NUMBER: _ClassVar[int]
    CALL_STARTED_FIELD_NUMBER: _ClassVar[int]
    UNIT_FINISHED_FIELD_NUMBER: _ClassVar[int]
    CALL_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    CALL_FINISHED_FIELD_NUMBER: _ClassVar[int]
    TURN_VETOED_FIELD_NUMBER: _ClassVar[int]
    TURN_FINISHED_FIELD_NUMBER: _ClassVar[int]
    CALL_ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_AWAITED_FIELD_NUMBER: _ClassVar[int]
    CONTENT_DELTA_FIELD_NUMBER: _ClassVar[int]
    TURN_FILLED_FIELD_NUMBER: _ClassVar[int]
    started: Started
    call_opened: CallOpened
    arguments_delta: ArgumentsDelta
    call_started: CallStarted
    unit_finished: UnitFinished
    call_output: CallOutput
    call_finished: CallFinished
    turn_vetoed: TurnVetoed
    turn_finished: TurnFinished
    call_artifact: CallArtifact
    approval_awaited: ApprovalAwaited
    content_delta: ContentDelta
    turn_filled: TurnFilled
    def __init__(self, started: _Optional[_Union[Started, _Mapping]] = ..., call_opened: _Optional[_Union[CallOpened, _Mapping]] = ..., arguments_delta: _Optional[_Union[ArgumentsDelta, _Mapping]] = ..., call_started: _Optional[_Union[CallStarted, _Mapping]] = ..., unit_finished: _Optional[_Union[UnitFinished, _Mapping]] = ..., call_output: _Optional[_Union[CallOutput, _Mapping]] = ..., call_finished: _Optional[_Union[CallFinished, _Mapping]] = ..., turn_vetoed: _Optional[_Union[TurnVetoed, _Mapping]] = ..., turn_finished: _Optional[_Union[TurnFinished, _Mapping]] = ..., call_artifact: _Optional[_Union[CallArtifact, _Mapping]] = ..., approval_awaited: _Optional[_Union[ApprovalAwaited, _Mapping]] = ..., content_delta: _Optional[_Union[ContentDelta, _Mapping]] = ..., turn_filled: _Optional[_Union[TurnFilled, _Mapping]] = ...) -> None: ...

class FeedRequest(_message.Message):
    __slots__ = ("feed", "texts")
    FEED_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    feed: str
    texts: _containers.RepeatedCompositeFieldContainer[FedText]
    def __init__(self, feed: _Optional[str] = ..., texts: _Optional[_Iterable[_Union[FedText, _Mapping]]] = ...) -> None: ...

class FedText(_message.Message):
    __slots__ = ("fed_as", "text")
    FED_AS_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    fed_as: int
    text: str
    def __init__(self, fed_as: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...

class FeedResponse(_message.Message):
    __slots__ = ("instance",)
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    instance: str
    def __init__(self, instance: _Optional[str] = ...) -> None: ...

class TurnFilled(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Start(_message.Message):
    __slots__ = ("format", "tools", "mode", "limits", "required_tool", "feed", "fed_as", "stream_arguments", "functions", "said", "stream_content", "single_call", "caller")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_TOOL_FIELD_NUMBER: _ClassVar[int]
    FEED_FIELD_NUMBER: _ClassVar[int]
    FED_AS_FIELD_NUMBER: _ClassVar[int]
    STREAM_ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    SAID_FIELD_NUMBER: _ClassVar[int]
    STREAM_CONTENT_FIELD_NUMBER: _ClassVar[int]
    SINGLE_CALL_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    format: str
    tools: _containers.RepeatedScalarFieldContainer[str]
    mode: Mode
    limits: Limits
    required_tool: str
    feed: str
    fed_as: int
    stream_arguments: bool
    functions: _containers.RepeatedCompositeFieldContainer[Function]
    said: _containers.RepeatedCompositeFieldContainer[SaidCalls]
    stream_content: bool
    single_call: bool
    caller: str
    def __init__(self, format: _Optional[str] = ..., tools: _Optional[_Iterable[str]] = ..., mode: _Optional[_Union[Mode, str]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., required_tool: _Optional[str] = ..., feed: _Optional[str] = ..., fed_as: _Optional[int] = ..., stream_arguments: _Optional[bool] = ..., functions: _Optional[_Iterable[_Union[Function, _Mapping]]] = ..., said: _Optional[_Iterable[_Union[SaidCalls, _Mapping]]] = ..., stream_content: _Optional[bool] = ..., single_call: _Optional[bool] = ..., caller: _Optional[str] = ...) -> None: ...

class Function(_message.Message):
    __slots__ = ("name", "description", "parameters_json_schema")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_JSON_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    parameters_json_schema: str
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., parameters_json_schema: _Optional[str] = ...) -> None: ...

class SaidCalls(_message.Message):
    __slots__ = ("calls",)
    CALLS_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedCompositeFieldContainer[SaidCall]
    def __init__(self, calls: _Optional[_Iterable[_Union[SaidCall, _Mapping]]] = ...) -> None: ...

class SaidCall(_message.Message):
    __slots__ = ("name", "arguments_json")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    name: str
    arguments_json: str
    def __init__(self, name: _Optional[str] = ..., arguments_json: _Optional[str] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("max_calls_per_turn", "max_result_chars", "call_timeout")
    MAX_CALLS_PER_TURN_FIELD_NUMBER: _ClassVar[int]
    MAX_RESULT_CHARS_FIELD_NUMBER: _ClassVar[int]
    CALL_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    max_calls_per_turn: int
    max_result_chars: int
    call_timeout: _duration_pb2.Duration
    def __init__(self, max_calls_per_turn: _Optional[int] = ..., max_result_chars: _Optional[int] = ..., call_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Started(_message.Message):
    __slots__ = ("tools", "instructions", "template_native", "grammar", "stops", "instance", "said")
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    INSTRUCTIONS_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_NATIVE_FIELD_NUMBER: _ClassVar[int]
    GRAMMAR_FIELD_NUMBER: _ClassVar[int]
    STOPS_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    SAID_FIELD_NUMBER: _ClassVar[int]
    tools: _containers.RepeatedCompositeFieldContainer[Tool]
    instructions: str
    template_native: bool
    grammar: str
    stops: _containers.RepeatedCompositeFieldContainer[TurnStop]
    instance: str
    said: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, tools: _Optional[_Iterable[_Union[Tool, _Mapping]]] = ..., instructions: _Optional[str] = ..., template_native: _Optional[bool] = ..., grammar: _Optional[str] = ..., stops: _Optional[_Iterable[_Union[TurnStop, _Mapping]]] = ..., instance: _Optional[str] = ..., said: _Optional[_Iterable[str]] = ...) -> None: ...

class TurnStop(_message.Message):
    __slots__ = ("after", "text")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    after: str
    text: str
    def __init__(self, after: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class TextDelta(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class TurnEnd(_message.Message):
    __slots__ = ("reason", "text_length")
    REASON_FIELD_NUMBER: _ClassVar[int]
    TEXT_LENGTH_FIELD_NUMBER: _ClassVar[int]
    reason: TurnEndReason
    text_length: int
    def __init__(self, reason: _Optional[_Union[TurnEndReason, str]] = ..., text_length: _Optional[int] = ...) -> None: ...

class Decide(_message.Message):
    __slots__ = ("call_id", "approved", "reason")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    APPROVED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    approved: bool
    reason: str
    def __init__(self, call_id: _Optional[str] = ..., approved: _Optional[bool] = ..., reason: _Optional[str] = ...) -> None: ...

class ContentDelta(_message.Message):
    __slots__ = ("text", "reasoning")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    REASONING_FIELD_NUMBER: _ClassVar[int]
    text: str
    reasoning: bool
    def __init__(self, text: _Optional[str] = ..., reasoning: _Optional[bool] = ...) -> None: ...

class CallOpened(_message.Message):
    __slots__ = ("call_id", "name", "text_offset", "parent_id")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TEXT_OFFSET_FIELD_NUMBER: _ClassVar[int]
    PARENT_ID_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    name: str
    text_offset: int
    parent_id: str
    def __init__(self, call_id: _Optional[str] = ..., name: _Optional[str] = ..., text_offset: _Optional[int] = ..., parent_id: _Optional[str] = ...) -> None: ...

class ArgumentsDelta(_message.Message):
    __slots__ = ("call_id", "argument", "text", "value_json")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    ARGUMENT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    VALUE_JSON_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    argument: str
    text: str
    value_json: str
    def __init__(self, call_id: _Optional[str] = ..., argument: _Optional[str] = ..., text: _Optional[str] = ..., value_json: _Optional[str] = ...) -> None: ...

class CallStarted(_message.Message):
    __slots__ = ("call_id", "after")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    after: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, call_id: _Optional[str] = ..., after: _Optional[_Iterable[str]] = ...) -> None: ...

class UnitFinished(_message.Message):
    __slots__ = ("call_id", "unit")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    unit: Unit
    def __init__(self, call_id: _Optional[str] = ..., unit: _Optional[_Union[Unit, _Mapping]] = ...) -> None: ...

class Unit(_message.Message):
    __slots__ = ("label", "text_offset", "busy")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    TEXT_OFFSET_FIELD_NUMBER: _ClassVar[int]
    BUSY_FIELD_NUMBER: _ClassVar[int]
    label: str
    text_offset: int
    busy: _duration_pb2.Duration
    def __init__(self, label: _Optional[str] = ..., text_offset: _Optional[int] = ..., busy: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class CallOutput(_message.Message):
    __slots__ = ("call_id", "text")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    text: str
    def __init__(self, call_id: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class CallArtifact(_message.Message):
    __slots__ = ("call_id", "name", "media_type", "data")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    name: str
    media_type: str
    data: bytes
    def __init__(self, call_id: _Optional[str] = ..., name: _Optional[str] = ..., media_type: _Optional[str] = ..., data: _Optional[bytes] = ...) -> None: ...

class ApprovalAwaited(_message.Message):
    __slots__ = ("call_id", "request_id", "arguments_json", "timeout")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    request_id: str
    arguments_json: str
    timeout: _duration_pb2.Duration
    def __init__(self, call_id: _Optional[str] = ..., request_id: _Optional[str] = ..., arguments_json: _Optional[str] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class CallFinished(_message.Message):
    __slots__ = ("call_id", "result", "error", "handed_over", "arguments_json", "timing")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    HANDED_OVER_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    result: str
    error: ToolError
    handed_over: HandedOver
    arguments_json: str
    timing: Timing
    def __init__(self, call_id: _Optional[str] = ..., result: _Optional[str] = ..., error: _Optional[_Union[ToolError, _Mapping]] = ..., handed_over: _Optional[_Union[HandedOver, _Mapping]] = ..., arguments_json: _Optional[str] = ..., timing: _Optional[_Union[Timing, _Mapping]] = ...) -> None: ...

class HandedOver(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ToolError(_message.Message):
    __slots__ = ("code", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class Timing(_message.Message):
    __slots__ = ("busy", "waiting", "queued")
    BUSY_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    busy: _duration_pb2.Duration
    waiting: _duration_pb2.Duration
    queued: _duration_pb2.Duration
    def __init__(self, busy: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., waiting: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., queued: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class TurnVetoed(_message.Message):
    __slots__ = ("call_id", "reason")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    reason: str
    def __init__(self, call_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class TurnFinished(_message.Message):
    __slots__ = ("call_count",)
    CALL_COUNT_FIELD_NUMBER: _ClassVar[int]
    call_count: int
    def __init__(self, call_count: _Optional[int] = ...) -> None: ...

class ListToolsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListToolsResponse(_message.Message):
    __slots__ = ("tools", "formats")
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    FORMATS_FIELD_NUMBER: _ClassVar[int]
    tools: _containers.RepeatedCompositeFieldContainer[Tool]
    formats: _containers.RepeatedCompositeFieldContainer[Format]
    def __init__(self, tools: _Optional[_Iterable[_Union[Tool, _Mapping]]] = ..., formats: _Optional[_Iterable[_Union[Format, _Mapping]]] = ...) -> None: ...

class Tool(_message.Message):
    __slots__ = ("name", "description", "parameters_json_schema", "effect", "partial", "timeout", "needs_approval")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_JSON_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    NEEDS_APPROVAL_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    parameters_json_schema: str
    effect: Effect
    partial: bool
    timeout: _duration_pb2.Duration
    needs_approval: bool
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., parameters_json_schema: _Optional[str] = ..., effect: _Optional[_Union[Effect, str]] = ..., partial: _Optional[bool] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., needs_approval: _Optional[bool] = ...) -> None: ...

class Format(_message.Message):
    __slots__ = ("name", "description", "only_tool", "calls_others")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    ONLY_TOOL_FIELD_NUMBER: _ClassVar[int]
    CALLS_OTHERS_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    only_tool: str
    calls_others: bool
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., only_tool: _Optional[str] = ..., calls_others: _Optional[bool] = ...) -> None: ...
