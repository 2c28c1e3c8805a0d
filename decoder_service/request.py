"""A completion as the decoder understands it: checked once at the edge, then trusted."""

import math
from dataclasses import dataclass

from decoder_service.engine.messages import Sampling
from decoder_service.text.template import Message
from protos.conveyor.decoder.v1 import decoder_pb2
from protos.rpc.errors import Reason, reject_field

ROLES = ("system", "user", "assistant", "tool")
DEFAULT_MAX_TOKENS = 512
DEFAULT_MAX_TURNS = 4
MAX_TOKENS = 100_000
MAX_TURNS = 32
MAX_STOPS = 8
MAX_STOP_CHARS = 256
_NO_TEXT = "have no text to answer; give at least one message with text"


@dataclass(frozen=True, slots=True)
class Tools:
    """Tools of a completion, and functions of the client. `required`: a tool's name, "*" for any, or empty.
    `stream_arguments`: the caller wants to see arguments while they are written; `stream_content`: what stands beside
    the calls; `single_call`: a turn has one call at most."""

    format: str
    names: tuple[str, ...]
    mode: int
    required: str
    stream_arguments: bool
    functions: tuple[decoder_pb2.Function, ...]
    stream_content: bool
    single_call: bool


@dataclass(frozen=True, slots=True)
class Said:
    """Calls that the assistant wrote in the message at this place."""

    place: int
    calls: tuple[decoder_pb2.SaidCall, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """One completion. `said`: the calls of earlier turns, which `messages` are without."""

    messages: tuple[Message, ...]
    said: tuple[Said, ...]
    tools: Tools | None
    sampling: Sampling
    max_tokens: int
    max_turns: int
    stop: tuple[str, ...]
    replay: tuple[str, ...]
    response_schema: str
    caller: str


def parse(message: decoder_pb2.Start) -> Request:
    """Checks a request. Raises ServiceError with the field, its value and what is wanted."""
    tools = _tools(message.tool_use) if message.HasField("tool_use") else None
    if tools and message.response_json_schema:
        told = "cannot be combined with tools; leave one of them out"
        reject_field(Reason.INVALID_TOOL_USE, "response_json_schema", told)
    return Request(
        messages=_messages(message),
        said=tuple(Said(at, tuple(said.calls)) for at, said in enumerate(message.messages) if said.calls),
        tools=tools,
        sampling=_sampling(message.sampling),
        max_tokens=_limit("max_tokens", message.limits.max_tokens, DEFAULT_MAX_TOKENS, MAX_TOKENS),
        max_turns=_limit("max_turns", message.limits.max_turns, DEFAULT_MAX_TURNS, MAX_TURNS),
        stop=_stop(message.limits),
        replay=_replay(message),
        response_schema=message.response_json_schema,
        caller=message.caller,
    )


def _messages(message: decoder_pb2.Start) -> tuple[Message, ...]:
    if not message.messages:
        reject_field(Reason.EMPTY_PROMPT, "messages", _NO_TEXT)
    last = message.messages[-1]
    if last.role not in ("user", "tool"):
        told = f"end with one of the role {last.role!r}; the last must be the user's or a tool's"
        reject_field(Reason.INVALID_MESSAGE, "messages", told)
    if last.role == "user" and not last.content.strip():
        reject_field(Reason.EMPTY_PROMPT, "messages", _NO_TEXT)
    named: dict[str, str] = {}  # calls that the next messages may answer
    found = []
    for at, said in enumerate(message.messages):
        field = f"messages[{at}]"
        if said.role not in ROLES:
            told = f"= {said.role!r}; it must be one of {', '.join(ROLES)}"
            reject_field(Reason.INVALID_MESSAGE, f"{field}.role", told)
        if said.role == "system" and at:
            reject_field(Reason.INVALID_MESSAGE, f"{field}.role", "= 'system'; a system message comes first")
        if said.role == "tool" and said.call_id not in named:
            told = f"= {said.call_id!r}; no call before it is named so"
            reject_field(Reason.INVALID_MESSAGE, f"{field}.call_id", told)
        if said.role != "tool":
            named = {call.call_id: call.name for call in said.calls}
        found.append(Message(said.role, said.content, named.get(said.call_id, "") if said.role == "tool" else ""))
    return tuple(found)


def _tools(use: decoder_pb2.ToolUse) -> Tools | None:
    if use.choice == "none":
        return None
    names = (*use.tools, *(function.name for function in use.functions))
    if not names:
        told = "is empty; name at least one tool or leave tool_use out"
        reject_field(Reason.INVALID_TOOL_USE, "tool_use.tools", told)
    if use.choice not in ("", "auto", "required", *names):
        told = f"= {use.choice!r}; it must be auto, none, required or one of the tools"
        reject_field(Reason.INVALID_TOOL_USE, "tool_use.choice", told)
    if use.mode not in decoder_pb2.Mode.values():
        reject_field(Reason.INVALID_TOOL_USE, "tool_use.mode", f"= {use.mode} is unknown")
    required = {"": "", "auto": "", "required": "*"}.get(use.choice, use.choice)
    functions = tuple(use.functions)
    return Tools(
        use.format,
        tuple(use.tools),
        use.mode,
        required,
        use.stream_arguments,
        functions,
        use.stream_content,
        use.single_call,
    )


def _sampling(sampling: decoder_pb2.Sampling) -> Sampling:
    if not 0 <= sampling.temperature <= 2:
        reject_field(
            Reason.INVALID_SAMPLING, "sampling.temperature", f"= {sampling.temperature}; it must be between 0 and 2"
        )
    if not 0 <= sampling.top_p <= 1:
        reject_field(Reason.INVALID_SAMPLING, "sampling.top_p", f"= {sampling.top_p}; it must be between 0 and 1")
    if sampling.top_k < 0:
        reject_field(Reason.INVALID_SAMPLING, "sampling.top_k", f"= {sampling.top_k}; it must not be negative")
    seed = sampling.seed if sampling.HasField("seed") else None
    top_p = sampling.top_p if sampling.top_p > 0 and not math.isnan(sampling.top_p) else 1.0
    return Sampling(sampling.temperature, top_p, sampling.top_k, seed)


def _limit(name: str, value: int, default: int, most: int) -> int:
    if not 0 <= value <= most:
        told = f"= {value}; it must be between 1 and {most}, or 0 for {default}"
        reject_field(Reason.INVALID_LIMIT, f"limits.{name}", told)
    return value or default


def _stop(limits: decoder_pb2.Limits) -> tuple[str, ...]:
    if len(limits.stop) > MAX_STOPS:
        reject_field(Reason.INVALID_LIMIT, "limits.stop", f"has {len(limits.stop)} strings; at most {MAX_STOPS}")
    for stop in limits.stop:
        if not 1 <= len(stop) <= MAX_STOP_CHARS:
            told = f"has a string of {len(stop)} characters; 1 to {MAX_STOP_CHARS} are allowed"
            reject_field(Reason.INVALID_LIMIT, "limits.stop", told)
    return tuple(limits.stop)


def _replay(message: decoder_pb2.Start) -> tuple[str, ...]:
    if len(message.replay) > (message.limits.max_turns or DEFAULT_MAX_TURNS):
        told = f"has {len(message.replay)} entries, one for each turn, and limits.max_turns allows fewer"
        reject_field(Reason.INVALID_REPLAY, "replay", told)
    if not all(message.replay):
        reject_field(Reason.INVALID_REPLAY, "replay", "has an empty entry; each is the text of one turn")
    return tuple(message.replay)
