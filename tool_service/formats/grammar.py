"""What the grammars of the JSON formats have in common."""

import json
from collections.abc import Sequence
from typing import Any

from tool_service.formats.format import ToolSchema

# White space is fixed, so that a small model cannot go round in it.
_ONE_SPELLING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def call_schema(tool: ToolSchema) -> dict[str, Any]:
    """The JSON schema of a call: an object with the tool's name and its arguments, in that order."""
    parameters = {"additionalProperties": False, **tool.parameters}
    definitions = parameters.pop("$defs", {})  # a reference starts from the root
    return {
        "x-guidance": _ONE_SPELLING,
        "$defs": definitions,
        "type": "object",
        "properties": {"name": {"const": tool.name}, "arguments": parameters},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def call_rules(tools: Sequence[ToolSchema]) -> str:
    """The Lark rule `call`: a call of one of the tools. Raises `ValueError` if there are none."""
    if not tools:
        raise ValueError("a grammar needs at least one tool")
    alternatives = " | ".join(f"call_{index}" for index in range(len(tools)))
    rules = [f"call_{index}: %json {json.dumps(call_schema(tool))}" for index, tool in enumerate(tools)]
    return "\n".join([f"call: {alternatives}", *rules, ""])
