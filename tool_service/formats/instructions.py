"""What a model is told about tools, in words that a small model can follow."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tool_service.formats.format import ToolSchema, Write

_EXAMPLES = {"integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}, "null": None}


Instructions = Callable[[Sequence[ToolSchema]], str]


def instructions_by(write: Write) -> Instructions:
    """Instructions with one example, which `write` spells from a tool's name and arguments."""

    def instructions(tools: Sequence[ToolSchema]) -> str:
        return (
            f"You can use these tools:\n{list_tools(tools)}\n"
            "To use a tool, write only a call like this one, with the name of the tool and its arguments:\n"
            f"{example_call(tools, write)}\n"
            "The result comes in the next message."
        )

    return instructions


def list_tools(tools: Sequence[ToolSchema]) -> str:
    """One line for each tool: its name, its parameters, what it does."""
    return "\n".join(_tool_line(tool) for tool in tools)


def example_call(tools: Sequence[ToolSchema], write: Write) -> str:
    """A call of the first tool, with what it requires."""
    return write(tools[0].name, _example_arguments(tools[0])) if tools else write("the_tool", {})


def _tool_line(tool: ToolSchema) -> str:
    required = tool.parameters.get("required", ())
    parameters = [_parameter(name, schema, name in required) for name, schema in _properties(tool).items()]
    description = " ".join(tool.description.split())
    return f"- {tool.name}({', '.join(parameters)})" + (f": {description}" if description else "")


def _properties(tool: ToolSchema) -> Mapping[str, Any]:
    properties: Mapping[str, Any] = tool.parameters.get("properties", {})
    return properties


def _parameter(name: str, schema: Any, required: bool) -> str:
    kind = _kind(schema)
    return f"{name}: {kind}" if required else f"{name}: {kind}, optional"


def _kind(schema: Any) -> str:
    if not isinstance(schema, Mapping):
        return "any"
    if "enum" in schema:
        return " or ".join(json.dumps(value, ensure_ascii=False) for value in schema["enum"])
    kind = schema.get("type", "any")
    return kind if isinstance(kind, str) else " or ".join(kind)


def _example_arguments(tool: ToolSchema) -> dict[str, Any]:
    properties = _properties(tool)
    names = [name for name in properties if name in tool.parameters.get("required", ())] or list(properties)[:1]
    return {name: _example(name, properties[name]) for name in names}


def _example(name: str, schema: Any) -> Any:
    if not isinstance(schema, Mapping):
        return 1
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    if "const" in schema or "default" in schema:
        return schema.get("const", schema.get("default"))
    return _EXAMPLES.get(str(schema.get("type", "string")), f"the {name.replace('_', ' ')}")
