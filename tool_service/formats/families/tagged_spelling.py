"""How calls with raw arguments between tags are written: for examples and for grammars."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tool_service.formats.format import ToolSchema
from tool_service.formats.grammar import Grammar, alternatives, one_spelling, raw_string
from tool_service.formats.scanning.coercion import kinds_of, resolved


@dataclass(frozen=True, slots=True)
class Spelling:
    """The texts around a call and its parameters; NAME stands for the tool's name, KEY for a parameter's.

    `parameter_json`: what stands before a value that is no string, where that differs.
    """

    before: str
    parameter: str
    parameter_end: str
    after: str
    parameter_json: str = ""

    def write(self, name: str, arguments: Mapping[str, Any]) -> str:
        """A call."""
        parts = [self._open(key, isinstance(value, str)) + text_of(value) for key, value in arguments.items()]
        return self.before.replace("NAME", name) + "".join(part + self.parameter_end for part in parts) + self.after

    def _open(self, key: str, is_string: bool) -> str:
        return (self.parameter if is_string or not self.parameter_json else self.parameter_json).replace("KEY", key)

    def rule(self, tool: ToolSchema) -> str:
        """The Lark rule of a call: the required parameters, in order, then any of the others."""
        required = tool.parameters.get("required", ())
        properties: Mapping[str, Any] = tool.parameters.get("properties", {})
        names = sorted(properties, key=lambda name: name not in required)
        parts = [self._parameter(name, properties[name], tool) + ("" if name in required else "?") for name in names]
        return " ".join([_quote(self.before.replace("NAME", tool.name)), *parts, _quote(self.after)])

    def _parameter(self, name: str, schema: Any, tool: ToolSchema) -> str:
        is_string, end = kinds_of(schema, tool.parameters) == {"string"}, self.parameter_end
        if is_string:
            # A newline before a closer is the last of the value's own token.
            newline = "\n" if end.startswith("\n") else ""
            value, end = raw_string(resolved(schema, tool.parameters), newline), end.removeprefix("\n")
        else:
            value = f"%json {json.dumps(one_spelling(schema, tool))}"
        return f"({_quote(self._open(name, is_string))} {value} {_quote(end)})"


def tagged_grammar(spelling: Spelling) -> Grammar:
    """The grammar of a format that is spelled so."""
    return lambda tools: f"start: call\n{alternatives(tools, spelling.rule)}"


def text_of(value: Any) -> str:
    """A value as raw text: a string as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
