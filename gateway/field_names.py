"""What a body of OpenAI's calls the field that a refusal is about.

Behind HTTP a refusal names the contract's field (`ServiceError.field`), and its sentence may begin with it; who sent
the body knows the field by another name. Of messages it is not said which one: some are put together or left out before
they are looked at. The gateway's own bodies have the contract's names.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.failures import HttpFailure


@dataclass(frozen=True, slots=True)
class Name:
    """`pattern` matches a field of the contract, `words` take its place in the sentence, `param` is the body's field;
    both may have groups."""

    pattern: str
    words: str
    param: str


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
    )


def _openai(messages: tuple[Name, ...], schema: str) -> tuple[Name, ...]:
    return (
        Name(r"tool_use\.functions(\[\d+\])\.parameters_json_schema", r"tools (functions\1.parameters)", "tools"),
        Name(r"tool_use\.(functions\[\d+\](\.name)?)", r"tools (\1)", "tools"),
        Name(r"tool_use\.choice", "tool_choice", "tool_choice"),
        Name(r"tool_use\.(format|mode)", r"conveyor.\1", r"conveyor.\1"),
        Name(r"tool_use(\.tools)?", "tools", "tools"),
        Name("response_json_schema", schema, schema),
        Name(r"limits\.stop(\[\d+\])?", r"stop\1", "stop"),
        Name(r"replay(\[\d+\])?", r"conveyor.replay\1", r"conveyor.replay\1"),
        *messages,
    )


CHAT = _openai(
    _messages("messages", "", "tool_call_id", "tool_calls", "function.arguments"),
    "response_format",
)
RESPONSES = _openai(_messages("input", "input: ", "call_id", "calls", "arguments"), "text.format")


def named(failure: HttpFailure, names: Sequence[Name]) -> HttpFailure:
    """The failure in the words of the first of `names` that fits; as it is where it is about no field, or none fits."""
    for name in names:
        if found := re.fullmatch(name.pattern, failure.param or ""):
            message = failure.message
            if message.startswith(found[0]):
                message = found.expand(name.words) + message.removeprefix(found[0])
            return HttpFailure(failure.status, failure.code, message, param=found.expand(name.param))
    return failure
