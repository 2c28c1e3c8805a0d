"""What a body calls the field that a refusal is about.

A refusal's sentence begins with the contract's name of the field (`gateway/request.py`, `gateway/tools.py`); who sent
JSON may know it by another. Only how a sentence begins is looked at: what follows may quote what a client sent. Of
OpenAI's messages it is not said which one: some are put together or left out before they are looked at.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.failures import HttpFailure

_REFUSED = 400


@dataclass(frozen=True, slots=True)
class Name:
    """`pattern` matches how a sentence begins, `words` take its place, `param` is the field; both may have groups."""

    pattern: str
    words: str
    param: str


def _last(param: str) -> Name:
    return Name("the last message", r"\g<0>", param)


def _messages(param: str, said: str, call_id: str, calls: str, arguments: str) -> tuple[Name, ...]:
    """Of the field `param`. `said`: how a sentence about its messages begins."""
    one = f"{said}a message"
    return (
        Name(r"messages\[\d+\]\.call_id", f"{one}'s {call_id}", param),
        Name(r"messages\[\d+\]\.calls\[\d+\]\.arguments_json", f"{one}'s {arguments}", param),
        Name(r"messages\[\d+\]\.calls(\[\d+\])?", f"{one}'s {calls}", param),
        Name(r"messages\[\d+\]\.(\w+)", rf"{one}'s \1", param),
        Name(r"messages\[\d+\]", one, param),
        Name("messages", f"{said}messages", param),
        _last(param),
    )


def _openai(messages: tuple[Name, ...], schema: str, schema_format: str) -> tuple[Name, ...]:
    return (
        Name(r"tool_use\.functions(\[\d+\])\.name", r"tools (functions\1.name)", "tools"),
        Name(r"tool_use\.functions(\[\d+\])\.parameters_json_schema", r"tools (functions\1.parameters)", "tools"),
        Name(r"tool_use\.tools", "tools", "tools"),
        Name(r"tool_use\.choice", "tool_choice", "tool_choice"),
        Name(r"tool_use\.format", "conveyor.format", "conveyor.format"),
        Name("tool_use and response_json_schema", f"tools and {schema_format}", schema_format),
        Name("tool_use", "tools", "tools"),
        Name("(no grammar can follow )?response_json_schema", rf"\g<1>{schema}", schema),
        Name(r"limits\.stop(\[\d+\])?", r"stop\1", "stop"),
        Name(r"replay has (\d+) entries; limits", r"conveyor.replay has \1 entries; conveyor", "conveyor.replay"),
        Name(r"replay(\[\d+\])?", r"conveyor.replay\1", r"conveyor.replay\1"),
        *messages,
    )


NATIVE = (
    Name(r"(messages|tool_use|sampling|limits|replay|response_json_schema)(\.\w+|\[\d+\])*", r"\g<0>", r"\g<0>"),
    Name("no grammar can follow response_json_schema", r"\g<0>", "response_json_schema"),
    Name("reason", r"\g<0>", "reason"),
    _last("messages"),
)
CHAT = _openai(
    _messages("messages", "", "tool_call_id", "tool_calls", "function.arguments"),
    "response_format.json_schema.schema",
    "response_format",
)
RESPONSES = _openai(_messages("input", "input: ", "call_id", "calls", "arguments"), "text.format.schema", "text.format")


def named(failure: HttpFailure, names: Sequence[Name]) -> HttpFailure:
    """The failure with the first of `names` that fits; as it is where none does, or the request is not to blame."""
    if failure.status != _REFUSED or failure.param is not None:
        return failure
    for name in names:
        if begun := re.match(rf"(?:{name.pattern})(?!\w)", failure.message):
            message = begun.expand(name.words) + failure.message[begun.end() :]
            return HttpFailure(failure.status, failure.code, message, param=begun.expand(name.param))
    return failure
