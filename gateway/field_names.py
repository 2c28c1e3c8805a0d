"""What a body calls the field that a refusal is about.

A refusal's sentence begins with the contract's name of the field (`gateway/request.py`, `gateway/tools.py`); who sent
JSON may know it by another. Only how a sentence begins is looked at: what follows may quote what a client sent.
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


def _openai(messages: Name, schema: str, schema_format: str) -> tuple[Name, ...]:
    return (
        Name(r"tool_use\.functions(\[\d+\])\.name", r"tools (functions\1.name)", "tools"),
        Name(r"tool_use\.functions(\[\d+\])\.parameters_json_schema", r"tools (functions\1.parameters)", "tools"),
        Name(r"tool_use\.tools", "tools", "tools"),
        Name(r"tool_use\.choice", "tool_choice", "tool_choice"),
        Name(r"tool_use\.format", "conveyor.format", "conveyor.format"),
        Name("tool_use and response_json_schema", f"tools and {schema_format}", schema_format),
        Name("response_json_schema", schema, schema),
        Name(r"limits\.stop(\[\d+\])?", r"stop\1", "stop"),
        Name(r"replay has (\d+) entries; limits", r"conveyor.replay has \1 entries; conveyor", "conveyor.replay"),
        Name(r"replay(\[\d+\])?", r"conveyor.replay\1", r"conveyor.replay\1"),
        messages,
        _last(messages.param),
    )


NATIVE = (
    Name(r"(messages|tool_use|sampling|limits|replay|response_json_schema)(\.\w+|\[\d+\])*", r"\g<0>", r"\g<0>"),
    _last("messages"),
)
CHAT = (
    Name(r"(messages\[\d+\])\.call_id", r"\1.tool_call_id", "messages"),
    *_openai(Name("messages", "messages", "messages"), "response_format.json_schema.schema", "response_format"),
)
RESPONSES = _openai(Name("messages", "input: messages", "input"), "text.format.schema", "text.format")


def named(failure: HttpFailure, names: Sequence[Name]) -> HttpFailure:
    """The failure with the first of `names` that fits; as it is where none does, or the request is not to blame."""
    if failure.status != _REFUSED or failure.param is not None:
        return failure
    for name in names:
        if begun := re.match(rf"(?:{name.pattern})(?!\w)", failure.message):
            message = begun.expand(name.words) + failure.message[begun.end() :]
            return HttpFailure(failure.status, failure.code, message, param=begun.expand(name.param))
    return failure
