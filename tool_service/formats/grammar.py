"""What the formats' grammars have in common."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tool_service.formats.format import ToolSchema

# White space is fixed, so that a small model cannot go round in it.
_ONE_SPELLING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


Grammar = Callable[[Sequence[ToolSchema]], str]


def marked_grammar(before: str, after: str, key: str = "arguments") -> Grammar:
    """The grammar of formats that write a call as one JSON object between these texts."""

    def grammar(tools: Sequence[ToolSchema]) -> str:
        return f"start: {_joined(json.dumps(before), 'call', json.dumps(after))}\n{call_rules(tools, key)}"

    return grammar


def named_grammar(before: str, after: str) -> Grammar:
    """The grammar of formats that write NAME in the text before the arguments' object."""

    def rule(tool: ToolSchema) -> str:
        texts = (json.dumps(text.replace("NAME", tool.name), ensure_ascii=False) for text in (before, after))
        opening, closing = texts
        return _joined(opening, f"%json {json.dumps(arguments_schema(tool))}", closing)

    return lambda tools: f"start: call\n{alternatives(tools, rule)}"


def _joined(*parts: str) -> str:
    """Parts of a rule, one after the other, without the empty strings."""
    return " ".join(part for part in parts if part != '""')


def alternatives(tools: Sequence[ToolSchema], rule: Callable[[ToolSchema], str]) -> str:
    """The Lark rule `call`: one of the tools' calls. Raises `ValueError` if there are none."""
    if not tools:
        raise ValueError("a grammar needs at least one tool")
    names = " | ".join(f"call_{index}" for index in range(len(tools)))
    return "\n".join([f"call: {names}", *(f"call_{index}: {rule(tool)}" for index, tool in enumerate(tools)), ""])


def arguments_schema(tool: ToolSchema) -> dict[str, Any]:
    """The JSON schema of a tool's arguments, in one spelling."""
    return {"x-guidance": _ONE_SPELLING, "additionalProperties": False, **tool.parameters}


def one_spelling(schema: Any, tool: ToolSchema) -> dict[str, Any]:
    """The schema of one of a tool's parameters, complete with its definitions."""
    given = schema if isinstance(schema, Mapping) else {}
    return {"x-guidance": _ONE_SPELLING, "$defs": tool.parameters.get("$defs", {}), **given}


def raw_string(schema: Mapping[str, Any], end: str = "") -> str:
    """The rule of a string that is written as it is, and of a text after it: one of the schema's choices, or any text
    of an allowed length that is short of what might become a closer, `<`. A pattern is left to the tool's own check.
    """
    choices = schema.get("enum", [schema["const"]] if "const" in schema else [])
    if choices:
        texts = (json.dumps(choice, ensure_ascii=False) for choice in choices if isinstance(choice, str))
        return " ".join([f"({' | '.join(texts)})", *([json.dumps(end)] if end else [])])
    least, most = schema.get("minLength", 0), schema.get("maxLength", "")
    written = json.dumps(end)[1:-1]
    return f"/[^<]{{{least},{most}}}{written}/"


def call_schema(tool: ToolSchema, key: str = "arguments") -> dict[str, Any]:
    """The JSON schema of a call: an object with the tool's name and its arguments, in that order."""
    parameters = {"additionalProperties": False, **tool.parameters}
    definitions = parameters.pop("$defs", {})  # a reference starts from the root
    return {
        "x-guidance": _ONE_SPELLING,
        "$defs": definitions,
        "type": "object",
        "properties": {"name": {"const": tool.name}, key: parameters},
        "required": ["name", key],
        "additionalProperties": False,
    }


def call_rules(tools: Sequence[ToolSchema], key: str = "arguments") -> str:
    """The Lark rule `call`: a call of one of the tools. Raises `ValueError` if there are none."""
    return alternatives(tools, lambda tool: f"%json {json.dumps(call_schema(tool, key))}")
