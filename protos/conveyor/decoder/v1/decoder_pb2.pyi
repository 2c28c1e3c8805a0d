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

class FinishReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FINISH_REASON_UNSPECIFIED: _ClassVar[FinishReason]
    FINISH_REASON_STOP: _ClassVar[FinishReason]
    FINISH_REASON_LENGTH: _ClassVar[FinishReason]
    FINISH_REASON_VETO: _ClassVar[FinishReason]
    FINISH_REASON_TURNS: _ClassVar[FinishReason]
    FINISH_REASON_CALLS: _ClassVar[FinishReason]
MODE_UNSPECIFIED: Mode
MODE_SERIAL: Mode
MODE_PARALLEL: Mode
MODE_ON_SEAL: Mode
MODE_PARTIAL: Mode
FINISH_REASON_UNSPECIFIED: FinishReason
FINISH_REASON_STOP: FinishReason
FINISH_REASON_LENGTH: FinishReason
FINISH_REASON_VETO: FinishReason
FINISH_REASON_TURNS: FinishReason
FINISH_REASON_CALLS: FinishReason

class GenerateRequest(_message.Message):
    __slots__ = ("start", "decide", "listening")
    START_FIELD_NUMBER: _ClassVar[int]
    DECIDE_FIELD_NUMBER: _ClassVar[int]
    LISTENING_FIELD_NUMBER: _ClassVar[int]
    start: Start
    decide: Decide
    listening: Listening
    def __init__(self, start: _Optional[_Union[Start, _Mapping]] = ..., decide: _Optional[_Union[Decide, _Mapping]] = ..., listening: _Optional[_Union[Listening, _Mapping]] = ...) -> None: ...

class Listening(_message.Message):
    __slots__ = ("listeners", "told_as")
    LISTENERS_FIELD_NUMBER: _ClassVar[int]
    TOLD_AS_FIELD_NUMBER: _ClassVar[int]
    listeners: _containers.RepeatedScalarFieldContainer[str]
    told_as: int
    def __init__(self, listeners: _Optional[_Iterable[str]] = ..., told_as: _Optional[int] = ...) -> None: ...

class ListenRequest(_message.Message):
    __slots__ = ("listener",)
    LISTENER_FIELD_NUMBER: _ClassVar[int]
    listener: str
    def __init__(self, listener: _Optional[str] = ...) -> None: ...

class ListenResponse(_message.Message):
    __slots__ = ("instance", "told")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    TOLD_FIELD_NUMBER: _ClassVar[int]
    instance: str
    told: _containers.RepeatedCompositeFieldContainer[Told]
    def __init__(self, instance: _Optional[str] = ..., told: _Optional[_Iterable[_Union[Told, _Mapping]]] = ...) -> None: ...

class Told(_message.Message):
    __slots__ = ("told_as", "event")
    TOLD_AS_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    told_as: int
    event: GenerateResponse
    def __init__(self, told_as: _Optional[int] = ..., event: _Optional[_Union[GenerateResponse, _Mapping]] = ...) -> None: ...

class Decide(_message.Message):
    __slots__ = ("call_id", "approved", "reason")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    APPROVED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    approved: bool
    reason: str
    def __init__(self, call_id: _Optional[str] = ..., approved: _Optional[bool] = ..., reason: _Optional[str] = ...) -> None: ...

class Start(_message.Message):
    __slots__ = ("messages", "tool_use", "sampling", "limits", "replay", "response_json_schema", "caller")
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    TOOL_USE_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    REPLAY_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_JSON_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[Message]
    tool_use: ToolUse
    sampling: Sampling
    limits: Limits
    replay: _containers.RepeatedScalarFieldContainer[str]
    response_json_schema: str
    caller: str
    def __init__(self, messages: _Optional[_Iterable[_Union[Message, _Mapping]]] = ..., tool_use: _Optional[_Union[ToolUse, _Mapping]] = ..., sampling: _Optional[_Union[Sampling, _Mapping]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., replay: _Optional[_Iterable[str]] = ..., response_json_schema: _Optional[str] = ..., caller: _Optional[str] = ...) -> None: ...

class GenerateResponse(_message.Message):
    __slots__ = ("at", "turn_started", "text_delta", "call_opened", "arguments_delta", "call_started", "unit_finished", "call_output", "call_finished", "turn_vetoed", "turn_decoded", "turn_finished", "finished", "call_artifact", "approval_awaited", "content_delta", "accepted", "number")
    AT_FIELD_NUMBER: _ClassVar[int]
    TURN_STARTED_FIELD_NUMBER: _ClassVar[int]
    TEXT_DELTA_FIELD_NUMBER: _ClassVar[int]
    CALL_OPENED_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_DELTA_FIELD_NUMBER: _ClassVar[int]
    CALL_STARTED_FIELD_NUMBER: _ClassVar[int]
    UNIT_FINISHED_FIELD_NUMBER: _ClassVar[int]
    CALL_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    CALL_FINISHED_FIELD_NUMBER: _ClassVar[int]
    TURN_VETOED_FIELD_NUMBER: _ClassVar[int]
    TURN_DECODED_FIELD_NUMBER: _ClassVar[int]
    TURN_FINISHED_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    CALL_ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_AWAITED_FIELD_NUMBER: _ClassVar[int]
    CONTENT_DELTA_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    at: _duration_pb2.Duration
    turn_started: TurnStarted
    text_delta: TextDelta
    call_opened: CallOpened
    arguments_delta: ArgumentsDelta
    call_started: CallStarted
    unit_finished: UnitFinished
    call_output: CallOutput
    call_finished: CallFinished
    turn_vetoed: TurnVetoed
    turn_decoded: TurnDecoded
    turn_finished: TurnFinished
    finished: Finished
    call_artifact: CallArtifact
    approval_awaited: ApprovalAwaited
    content_delta: ContentDelta
    accepted: Accepted
    number: int
    def __init__(self, at: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., turn_started: _Optional[_Union[TurnStarted, _Mapping]] = ..., text_delta: _Optional[_Union[TextDelta, _Mapping]] = ..., call_opened: _Optional[_Union[CallOpened, _Mapping]] = ..., arguments_delta: _Optional[_Union[ArgumentsDelta, _Mapping]] = ..., call_started: _Optional[_Union[CallStarted, _Mapping]] = ..., unit_finished: _Optional[_Union[UnitFinished, _Mapping]] = ..., call_output: _Optional[_Union[CallOutput, _Mapping]] = ..., call_finished: _Optional[_Union[CallFinished, _Mapping]] = ..., turn_vetoed: _Optional[_Union[TurnVetoed, _Mapping]] = ..., turn_decoded: _Optional[_Union[TurnDecoded, _Mapping]] = ..., turn_finished: _Optional[_Union[TurnFinished, _Mapping]] = ..., finished: _Optional[_Union[Finished, _Mapping]] = ..., call_artifact: _Optional[_Union[CallArtifact, _Mapping]] = ..., approval_awaited: _Optional[_Union[ApprovalAwaited, _Mapping]] = ..., content_delta: _Optional[_Union[ContentDelta, _Mapping]] = ..., accepted: _Optional[_Union[Accepted, _Mapping]] = ..., number: _Optional[int] = ...) -> None: ...

class Accepted(_message.Message):
    __slots__ = ("instance", "listener")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    LISTENER_FIELD_NUMBER: _ClassVar[int]
    instance: str
    listener: str
    def __init__(self, instance: _Optional[str] = ..., listener: _Optional[str] = ...) -> None: ...

class ToolUse(_message.Message):
    __slots__ = ("format", "tools", "mode", "choice", "stream_arguments", "functions", "stream_content", "single_call")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    CHOICE_FIELD_NUMBER: _ClassVar[int]
    STREAM_ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    STREAM_CONTENT_FIELD_NUMBER: _ClassVar[int]
    SINGLE_CALL_FIELD_NUMBER: _ClassVar[int]
    format: str
    tools: _containers.RepeatedScalarFieldContainer[str]
    mode: Mode
    choice: str
    stream_arguments: bool
    functions: _containers.RepeatedCompositeFieldContainer[Function]
    stream_content: bool
    single_call: bool
    def __init__(self, format: _Optional[str] = ..., tools: _Optional[_Iterable[str]] = ..., mode: _Optional[_Union[Mode, str]] = ..., choice: _Optional[str] = ..., stream_arguments: _Optional[bool] = ..., functions: _Optional[_Iterable[_Union[Function, _Mapping]]] = ..., stream_content: _Optional[bool] = ..., single_call: _Optional[bool] = ...) -> None: ...

class Function(_message.Message):
    __slots__ = ("name", "description", "parameters_json_schema")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_JSON_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    parameters_json_schema: str
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., parameters_json_schema: _Optional[str] = ...) -> None: ...

class Sampling(_message.Message):
    __slots__ = ("temperature", "top_p", "top_k", "seed")
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    TOP_P_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    temperature: float
    top_p: float
    top_k: int
    seed: int
    def __init__(self, temperature: _Optional[float] = ..., top_p: _Optional[float] = ..., top_k: _Optional[int] = ..., seed: _Optional[int] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("max_tokens", "max_turns", "stop")
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_TURNS_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    max_tokens: int
    max_turns: int
    stop: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, max_tokens: _Optional[int] = ..., max_turns: _Optional[int] = ..., stop: _Optional[_Iterable[str]] = ...) -> None: ...

class Message(_message.Message):
    __slots__ = ("role", "content", "calls", "call_id")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    role: str
    content: str
    calls: _containers.RepeatedCompositeFieldContainer[SaidCall]
    call_id: str
    def __init__(self, role: _Optional[str] = ..., content: _Optional[str] = ..., calls: _Optional[_Iterable[_Union[SaidCall, _Mapping]]] = ..., call_id: _Optional[str] = ...) -> None: ...

class SaidCall(_message.Message):
    __slots__ = ("call_id", "name", "arguments_json")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    name: str
    arguments_json: str
    def __init__(self, call_id: _Optional[str] = ..., name: _Optional[str] = ..., arguments_json: _Optional[str] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("prompt_tokens", "cached_tokens", "completion_tokens")
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_TOKENS_FIELD_NUMBER: _ClassVar[int]
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    def __init__(self, prompt_tokens: _Optional[int] = ..., cached_tokens: _Optional[int] = ..., completion_tokens: _Optional[int] = ...) -> None: ...

class TurnStarted(_message.Message):
    __slots__ = ("turn",)
    TURN_FIELD_NUMBER: _ClassVar[int]
    turn: int
    def __init__(self, turn: _Optional[int] = ...) -> None: ...

class TextDelta(_message.Message):
    __slots__ = ("text", "token_ids")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    text: str
    token_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, text: _Optional[str] = ..., token_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class TurnDecoded(_message.Message):
    __slots__ = ("turn", "finish_reason", "usage")
    TURN_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    turn: int
    finish_reason: FinishReason
    usage: Usage
    def __init__(self, turn: _Optional[int] = ..., finish_reason: _Optional[_Union[FinishReason, str]] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ...) -> None: ...

class TurnFinished(_message.Message):
    __slots__ = ("turn", "call_count")
    TURN_FIELD_NUMBER: _ClassVar[int]
    CALL_COUNT_FIELD_NUMBER: _ClassVar[int]
    turn: int
    call_count: int
    def __init__(self, turn: _Optional[int] = ..., call_count: _Optional[int] = ...) -> None: ...

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
    __slots__ = ("call_id", "label", "text_offset", "busy")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    TEXT_OFFSET_FIELD_NUMBER: _ClassVar[int]
    BUSY_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    label: str
    text_offset: int
    busy: _duration_pb2.Duration
    def __init__(self, call_id: _Optional[str] = ..., label: _Optional[str] = ..., text_offset: _Optional[int] = ..., busy: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

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
    __slots__ = ("call_id", "result", "error", "handed_over", "arguments_json", "busy", "waiting")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    HANDED_OVER_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    BUSY_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    result: str
    error: ToolError
    handed_over: HandedOver
    arguments_json: str
    busy: _duration_pb2.Duration
    waiting: _duration_pb2.Duration
    def __init__(self, call_id: _Optional[str] = ..., result: _Optional[str] = ..., error: _Optional[_Union[ToolError, _Mapping]] = ..., handed_over: _Optional[_Union[HandedOver, _Mapping]] = ..., arguments_json: _Optional[str] = ..., busy: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., waiting: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

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

class TurnVetoed(_message.Message):
    __slots__ = ("call_id", "reason")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    reason: str
    def __init__(self, call_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Finished(_message.Message):
    __slots__ = ("finish_reason", "usage")
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    finish_reason: FinishReason
    usage: Usage
    def __init__(self, finish_reason: _Optional[_Union[FinishReason, str]] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("name", "context_length", "dtype", "max_running")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_LENGTH_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    MAX_RUNNING_FIELD_NUMBER: _ClassVar[int]
    name: str
    context_length: int
    dtype: str
    max_running: int
    def __init__(self, name: _Optional[str] = ..., context_length: _Optional[int] = ..., dtype: _Optional[str] = ..., max_running: _Optional[int] = ...) -> None: ...
