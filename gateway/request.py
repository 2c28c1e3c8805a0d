"""Turns a `CompleteRequest` into a `Completion`, or refuses it.

Parse, don't validate: what holds a `Completion` need not check it again, and defaults are filled in. Whether the tools
and the format exist is the catalogue's to say (`tools`). Every refusal is a `ServiceError` whose sentence names the
field, its value, cut to a readable length, and what is wanted instead.
"""

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.schema import check_arguments, check_schema
from protos.conveyor.gateway.v1 import gateway_pb2
from protos.rpc.errors import Reason, reject_field

DEFAULT_MAX_TOKENS = 512
DEFAULT_MAX_TURNS = 4
MAX_TOKENS = 100_000
MAX_TURNS = 32
MAX_STOPS = 8
MAX_STOP_CHARS = 256
MAX_TOOLS = 128  # and functions, of one completion
FUNCTION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")  # as of tools
FREE_CHOICES = ("auto", "none", "required")
_NO_PARAMETERS = '{"type": "object", "properties": {}}'
_SHOWN_CHARS = 80
_LISTED_NAMES = 20


class Role(enum.StrEnum):
    """Who said a message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class Mode(enum.IntEnum):
    """When a call may run, relative to the text that contains it. The numbers are those of the contract."""

    SERIAL = gateway_pb2.MODE_SERIAL
    PARALLEL = gateway_pb2.MODE_PARALLEL
    ON_SEAL = gateway_pb2.MODE_ON_SEAL
    PARTIAL = gateway_pb2.MODE_PARTIAL


@dataclass(frozen=True, slots=True)
class SaidCall:
    """A call of an earlier turn; `arguments_json` is an object."""

    call_id: str
    name: str
    arguments_json: str


@dataclass(frozen=True, slots=True)
class Message:
    """What a person, a program or a tool said; `content` is not empty but where an assistant's has `calls` or it is a
    tool's. `call_id`: the call that a tool's answers."""

    role: Role
    content: str
    calls: tuple[SaidCall, ...] = ()
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class Function:
    """A function that the client runs; `parameters_json_schema` is a JSON object."""

    name: str
    description: str
    parameters_json_schema: str


@dataclass(frozen=True, slots=True)
class ToolUse:
    """Tools that may be called, and functions of the client: together at least one, no name twice; `choice` is a
    `FREE_CHOICES` or one of the names.

    `stream_arguments`: the client wants to see arguments while they are written; `stream_content`: what stands beside
    the calls; `single_call`: a turn has one call at most.
    """

    format: str
    tools: tuple[str, ...]
    mode: Mode
    choice: str
    stream_arguments: bool
    functions: tuple[Function, ...] = ()
    stream_content: bool = False
    single_call: bool = False


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen. `temperature` 0 is greedy, `top_p` is in (0, 1], `top_k` 0 means all."""

    temperature: float
    top_p: float
    top_k: int
    seed: int | None


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop: tokens and turns over the whole completion, and texts that end a turn."""

    max_tokens: int
    max_turns: int
    stop: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Completion:
    """A completion that may be run."""

    messages: tuple[Message, ...]
    tool_use: ToolUse | None
    sampling: Sampling
    limits: Limits
    replay: tuple[str, ...]
    response_json_schema: str


def parse(request: gateway_pb2.CompleteRequest, max_prompt_chars: int) -> Completion:
    """The completion that `request` asks for. Raises `ServiceError` for the first thing that is wrong with it."""
    messages = _messages(request.messages, max_prompt_chars)
    limits = _limits(request.limits)
    completion = Completion(
        messages=messages,
        tool_use=_tool_use(request.tool_use) if request.HasField("tool_use") else None,
        sampling=_sampling(request.sampling),
        limits=limits,
        replay=_replay(request.replay, limits.max_turns, max_prompt_chars),
        response_json_schema=request.response_json_schema,
    )
    if completion.response_json_schema:
        check_schema(completion.response_json_schema, "response_json_schema")
    _check_together(completion)
    return completion


def shown(value: object) -> str:
    """A value as a sentence may quote it: escaped, and short whatever it is."""
    text = repr(value if not isinstance(value, str) else value[: _SHOWN_CHARS + 1])
    return text if len(text) <= _SHOWN_CHARS + 2 else f"{text[:_SHOWN_CHARS]}…"


def listed(names: Sequence[str]) -> str:
    """Names as a sentence may list them: the first few, and how many more."""
    some = ", ".join(shown(name) for name in names[:_LISTED_NAMES])
    rest = len(names) - _LISTED_NAMES
    return f"{some} and {rest} more" if rest > 0 else some or "none"


def _messages(messages: Sequence[gateway_pb2.Message], max_chars: int) -> tuple[Message, ...]:
    if not messages:
        reject_field(Reason.EMPTY_PROMPT, "messages", "is empty; send at least one, the last one from the user.")
    chars = sum(len(m.content) + sum(len(call.arguments_json) for call in m.calls) for m in messages)
    if chars > max_chars:
        reject_field(Reason.PROMPT_TOO_LONG, "messages", f"have {chars} characters; at most {max_chars} are taken.")
    parsed = tuple(_message(place, message) for place, message in enumerate(messages))
    _check_answers(parsed)
    last = f"messages[{len(parsed) - 1}]"
    if parsed[-1].role not in (Role.USER, Role.TOOL):
        wanted = "the last message's must be 'user', or 'tool' with what a call came to"
        reject_field(Reason.INVALID_MESSAGE, f"{last}.role", f"is '{parsed[-1].role}'; {wanted}.")
    if parsed[-1].role is Role.USER and not parsed[-1].content.strip():
        reject_field(Reason.EMPTY_PROMPT, f"{last}.content", "is blank; say what the model is to answer.")
    return parsed


def _message(place: int, message: gateway_pb2.Message) -> Message:
    field = f"messages[{place}]"
    if message.role not in list(Role):
        reject_field(Reason.INVALID_MESSAGE, f"{field}.role", f"is {shown(message.role)}; there are {', '.join(Role)}.")
    role = Role(message.role)
    if role is Role.SYSTEM and place > 0:
        reject_field(Reason.INVALID_MESSAGE, f"{field}.role", "is 'system'; only the first message may be.")
    if message.calls and role is not Role.ASSISTANT:
        reject_field(Reason.INVALID_MESSAGE, field, f"has calls, and its role is '{role}'; only the assistant's may.")
    if message.call_id and role is not Role.TOOL:
        reject_field(
            Reason.INVALID_MESSAGE, f"{field}.call_id", f"is set, and its role is '{role}'; only a tool's may."
        )
    if not message.content and not message.calls and role in (Role.SYSTEM, Role.ASSISTANT):
        reject_field(Reason.INVALID_MESSAGE, f"{field}.content", "is empty; leave the message out or fill it.")
    return Message(role, message.content, _calls(field, message.calls), message.call_id)


def _calls(field: str, calls: Sequence[gateway_pb2.SaidCall]) -> tuple[SaidCall, ...]:
    if len({call.call_id for call in calls}) < len(calls):
        reject_field(Reason.INVALID_MESSAGE, f"{field}.calls", "has one call_id twice; each names its own call.")
    for place, call in enumerate(calls):
        if not call.call_id or not call.name:
            reject_field(Reason.INVALID_MESSAGE, f"{field}.calls[{place}]", "has no call_id or no name; give both.")
        check_arguments(f"{field}.calls[{place}].arguments_json", call.arguments_json)
    return tuple(SaidCall(call.call_id, call.name, call.arguments_json) for call in calls)


def _check_answers(messages: Sequence[Message]) -> None:
    """Each call is answered, once, by the messages that follow its own at once."""
    open_: dict[str, int] = {}  # calls, and where they were made
    for place, message in enumerate(messages):
        if message.role is Role.TOOL:
            if message.call_id not in open_:
                told = f"is {shown(message.call_id)}; no call before it that waits for an answer has it."
                reject_field(Reason.INVALID_MESSAGE, f"messages[{place}].call_id", told)
            del open_[message.call_id]
            continue
        if open_:
            break
        open_ = {call.call_id: place for call in message.calls}
    for call_id, place in open_.items():
        told = f"calls {shown(call_id)}, and no 'tool' message after it answers it; send one for each call."
        reject_field(Reason.INVALID_MESSAGE, f"messages[{place}]", told)


def _sampling(sampling: gateway_pb2.Sampling) -> Sampling:
    # NaN fails every comparison, so each check is written as what must hold.
    if not 0 <= sampling.temperature <= 2:
        reject_field(
            Reason.INVALID_SAMPLING, "sampling.temperature", f"is {sampling.temperature}; it must be from 0 to 2."
        )
    if not 0 <= sampling.top_p <= 1:
        reject_field(
            Reason.INVALID_SAMPLING, "sampling.top_p", f"is {sampling.top_p}; it must be above 0 and at most 1."
        )
    if sampling.top_k < 0:
        reject_field(Reason.INVALID_SAMPLING, "sampling.top_k", f"is {sampling.top_k}; it must be 0, for all, or more.")
    seed = sampling.seed if sampling.HasField("seed") else None
    return Sampling(sampling.temperature, sampling.top_p or 1.0, sampling.top_k, seed)


def _limits(limits: gateway_pb2.Limits) -> Limits:
    _check_count("limits.max_tokens", limits.max_tokens, MAX_TOKENS)
    _check_count("limits.max_turns", limits.max_turns, MAX_TURNS)
    if len(limits.stop) > MAX_STOPS:
        reject_field(
            Reason.INVALID_LIMIT, "limits.stop", f"has {len(limits.stop)} entries; at most {MAX_STOPS} are taken."
        )
    for place, stop in enumerate(limits.stop):
        if not 1 <= len(stop) <= MAX_STOP_CHARS:
            told = f"has {len(stop)} characters; it must have 1 to {MAX_STOP_CHARS}."
            reject_field(Reason.INVALID_LIMIT, f"limits.stop[{place}]", told)
    return Limits(limits.max_tokens or DEFAULT_MAX_TOKENS, limits.max_turns or DEFAULT_MAX_TURNS, tuple(limits.stop))


def _check_count(field: str, value: int, most: int) -> None:
    if not 0 <= value <= most:
        reject_field(Reason.INVALID_LIMIT, field, f"is {value}; it must be 0, for the default, or from 1 to {most}.")


def _replay(entries: Sequence[str], max_turns: int, max_chars: int) -> tuple[str, ...]:
    if len(entries) > max_turns:
        told = f"has {len(entries)} entries, one for each turn, and max_turns is {max_turns}."
        reject_field(Reason.INVALID_REPLAY, "replay", told)
    for place, entry in enumerate(entries):
        if not entry:
            told = "is empty; write the turn's text or leave the entry out."
            reject_field(Reason.INVALID_REPLAY, f"replay[{place}]", told)
    if (chars := sum(map(len, entries))) > max_chars:
        reject_field(Reason.INVALID_REPLAY, "replay", f"has {chars} characters; at most {max_chars} are taken.")
    return tuple(entries)


def _tool_use(use: gateway_pb2.ToolUse) -> ToolUse:
    names = (*use.tools, *(function.name for function in use.functions))
    if not names:
        reject_field(Reason.INVALID_TOOL_USE, "tool_use.tools", "is empty; name a tool or leave tool_use out.")
    if len(names) > MAX_TOOLS:
        told = f"names {len(names)} tools and functions; at most {MAX_TOOLS} are taken."
        reject_field(Reason.INVALID_TOOL_USE, "tool_use", told)
    if len(set(names)) < len(names):
        place, twice = next((place, name) for place, name in enumerate(names) if name in names[:place])
        number = place - len(use.tools)
        field = "tool_use.tools" if number < 0 else f"tool_use.functions[{number}].name"
        reject_field(Reason.INVALID_TOOL_USE, field, f"is {shown(twice)}, a name that is taken; give each name once.")
    if use.mode and int(use.mode) not in list(Mode):
        told = f"is {use.mode}; there are {', '.join(Mode.__members__)}."
        reject_field(Reason.INVALID_TOOL_USE, "tool_use.mode", told)
    choice = use.choice or "auto"
    if choice not in FREE_CHOICES and choice not in names:
        allowed = (*FREE_CHOICES, *names)
        told = f"is {shown(choice)}; it must be one of {listed(allowed)}."
        reject_field(Reason.INVALID_TOOL_USE, "tool_use.choice", told)
    mode = Mode(use.mode or Mode.PARTIAL)
    functions = tuple(_function(place, function) for place, function in enumerate(use.functions))
    return ToolUse(
        use.format,
        tuple(use.tools),
        mode,
        choice,
        use.stream_arguments,
        functions,
        use.stream_content,
        use.single_call,
    )


def _function(place: int, function: gateway_pb2.Function) -> Function:
    field = f"tool_use.functions[{place}]"
    if not FUNCTION_NAME.fullmatch(function.name):
        wanted = "1 to 64 letters, digits, '_', '-' and '.', the first of them a letter or '_'"
        reject_field(Reason.INVALID_TOOL_USE, f"{field}.name", f"is {shown(function.name)}; it must be {wanted}.")
    if function.name in FREE_CHOICES:
        told = f"is {shown(function.name)}, which means something as a choice."
        reject_field(Reason.INVALID_TOOL_USE, f"{field}.name", told)
    schema = function.parameters_json_schema or _NO_PARAMETERS
    check_schema(schema, f"{field}.parameters_json_schema")
    return Function(function.name, function.description, schema)


def _check_together(completion: Completion) -> None:
    use = completion.tool_use
    if use is None:
        return
    if completion.response_json_schema:
        told = "cannot be combined with tools; leave one of them out."
        reject_field(Reason.INVALID_TOOL_USE, "response_json_schema", told)
