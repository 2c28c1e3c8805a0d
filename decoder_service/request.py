"""A completion as the decoder understands it: checked once at the edge, then trusted."""

import math
from dataclasses import dataclass

from decoder_service.engine.messages import Sampling
from decoder_service.text.template import Message
from protos.conveyor.decoder.v1 import decoder_pb2
from protos.rpc.errors import Reason, reject

ROLES = ("system", "user", "assistant")
DEFAULT_MAX_TOKENS = 512
DEFAULT_MAX_TURNS = 4
MAX_TOKENS = 100_000
MAX_TURNS = 32
MAX_STOPS = 8
MAX_STOP_CHARS = 256


@dataclass(frozen=True, slots=True)
class Tools:
    """Tools of a completion. `required`: a tool's name, "*" for any, or empty. `stream_arguments`: the caller wants to
    see arguments while they are written."""

    format: str
    names: tuple[str, ...]
    mode: int
    required: str
    stream_arguments: bool


@dataclass(frozen=True, slots=True)
class Request:
    """One completion."""

    messages: tuple[Message, ...]
    tools: Tools | None
    sampling: Sampling
    max_tokens: int
    max_turns: int
    stop: tuple[str, ...]
    replay: tuple[str, ...]
    response_schema: str


def parse(message: decoder_pb2.Start) -> Request:
    """Checks a request. Raises ServiceError with the field, its value and what is wanted."""
    tools = _tools(message.tool_use) if message.HasField("tool_use") else None
    if tools and message.response_json_schema:
        reject(Reason.INVALID_TOOL_USE, "response_json_schema and tool_use cannot be combined; leave one out")
    return Request(
        messages=_messages(message),
        tools=tools,
        sampling=_sampling(message.sampling),
        max_tokens=_limit("max_tokens", message.limits.max_tokens, DEFAULT_MAX_TOKENS, MAX_TOKENS),
        max_turns=_limit("max_turns", message.limits.max_turns, DEFAULT_MAX_TURNS, MAX_TURNS),
        stop=_stop(message.limits),
        replay=_replay(message),
        response_schema=message.response_json_schema,
    )


def _messages(message: decoder_pb2.Start) -> tuple[Message, ...]:
    if not message.messages or not message.messages[-1].content.strip():
        reject(Reason.EMPTY_PROMPT, "the conversation has no text to answer; give at least one message with text")
    for at, said in enumerate(message.messages):
        if said.role not in ROLES:
            reject(Reason.INVALID_MESSAGE, f"messages[{at}].role = {said.role!r}; it must be one of {', '.join(ROLES)}")
        if said.role == "system" and at:
            reject(Reason.INVALID_MESSAGE, f"messages[{at}].role = 'system'; a system message comes first")
    if message.messages[-1].role != "user":
        reject(Reason.INVALID_MESSAGE, f"the last message is the {message.messages[-1].role}'s; it must be the user's")
    return tuple(Message(said.role, said.content) for said in message.messages)


def _tools(use: decoder_pb2.ToolUse) -> Tools | None:
    if use.choice == "none":
        return None
    if not use.tools:
        reject(Reason.INVALID_TOOL_USE, "tool_use.tools is empty; name at least one tool or leave tool_use out")
    if use.choice not in ("", "auto", "required", *use.tools):
        reject(
            Reason.INVALID_TOOL_USE,
            f"tool_use.choice = {use.choice!r}; it must be auto, none, required or one of the tools",
        )
    if use.mode not in decoder_pb2.Mode.values():
        reject(Reason.INVALID_TOOL_USE, f"tool_use.mode = {use.mode} is unknown")
    required = {"": "", "auto": "", "required": "*"}.get(use.choice, use.choice)
    return Tools(use.format, tuple(use.tools), use.mode, required, use.stream_arguments)


def _sampling(sampling: decoder_pb2.Sampling) -> Sampling:
    if not 0 <= sampling.temperature <= 2:
        reject(Reason.INVALID_SAMPLING, f"sampling.temperature = {sampling.temperature}; it must be between 0 and 2")
    if not 0 <= sampling.top_p <= 1:
        reject(Reason.INVALID_SAMPLING, f"sampling.top_p = {sampling.top_p}; it must be between 0 and 1")
    if sampling.top_k < 0:
        reject(Reason.INVALID_SAMPLING, f"sampling.top_k = {sampling.top_k}; it must not be negative")
    seed = sampling.seed if sampling.HasField("seed") else None
    top_p = sampling.top_p if sampling.top_p > 0 and not math.isnan(sampling.top_p) else 1.0
    return Sampling(sampling.temperature, top_p, sampling.top_k, seed)


def _limit(name: str, value: int, default: int, most: int) -> int:
    if not 0 <= value <= most:
        reject(Reason.INVALID_LIMIT, f"limits.{name} = {value}; it must be between 1 and {most}, or 0 for {default}")
    return value or default


def _stop(limits: decoder_pb2.Limits) -> tuple[str, ...]:
    if len(limits.stop) > MAX_STOPS:
        reject(Reason.INVALID_LIMIT, f"limits.stop has {len(limits.stop)} strings; at most {MAX_STOPS}")
    for stop in limits.stop:
        if not 1 <= len(stop) <= MAX_STOP_CHARS:
            reject(
                Reason.INVALID_LIMIT,
                f"limits.stop has a string of {len(stop)} characters; 1 to {MAX_STOP_CHARS} are allowed",
            )
    return tuple(limits.stop)


def _replay(message: decoder_pb2.Start) -> tuple[str, ...]:
    if len(message.replay) > (message.limits.max_turns or DEFAULT_MAX_TURNS):
        reject(
            Reason.INVALID_REPLAY, f"replay has {len(message.replay)} entries, more than limits.max_turns allows turns"
        )
    if not all(message.replay):
        reject(Reason.INVALID_REPLAY, "replay has an empty entry; each is the text of one turn")
    return tuple(message.replay)
