"""How calls with raw arguments between tags are written: for examples and for grammars."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from protos.schemas.reading import UnenforceableError
from protos.schemas.shapes import Fields, Shape, of_kinds, possible
from tool_service.formats.format import ToolSchema
from tool_service.formats.grammar import (
    Grammar,
    Rules,
    arguments_of,
    grammar_of,
    joined,
    json_value,
    quoted,
    raw_string,
)
from tool_service.formats.scanning.coercion import kinds_of

_TAG = re.compile(r"<[^>=\s]*")


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
        parts = [self._open(key, is_string=isinstance(value, str)) + text_of(value) for key, value in arguments.items()]
        return self.before.replace("NAME", name) + "".join(part + self.parameter_end for part in parts) + self.after

    def _open(self, key: str, *, is_string: bool) -> str:
        return (self.parameter if is_string or not self.parameter_json else self.parameter_json).replace("KEY", key)

    def rule(self, tool: ToolSchema, rules: Rules) -> str:
        """The body of the rule of a call: the required parameters, in order, then any of the others."""
        readable = (_readable(fields, tool) for fields in arguments_of(tool, self._avoid()))
        calls = [self._call(fields, tool, rules) for fields in readable if fields is not None]
        if not calls:
            error = UnenforceableError("the types that it names leave nothing that fits")
            error.tool = tool.name
            raise error
        opening, closing = quoted(self.before.replace("NAME", tool.name)), quoted(self.after)
        return " | ".join(joined(opening, call, closing) for call in calls)

    def _avoid(self) -> tuple[str, ...]:
        """What may stand in no value: each of the tags that can follow one or end it."""
        tags = (_TAG.match(text.lstrip()) for text in (self.parameter, self.parameter_end, self.after))
        return tuple(tag[0] for tag in tags if tag)

    def _call(self, fields: Fields, tool: ToolSchema, rules: Rules) -> str:
        names = sorted(filter(fields.properties.get, fields.properties), key=lambda name: name not in fields.required)
        parts = (self._parameter(name, fields.properties[name], tool, rules) for name in names)
        return " ".join(
            part + ("" if name in fields.required else "?") for name, part in zip(names, parts, strict=True)
        )

    def _parameter(self, name: str, shape: Shape, tool: ToolSchema, rules: Rules) -> str:
        if _kinds(name, tool) == {"string"}:
            value = rules.add("RAW", raw_string(shape, self.parameter_end))
            return rules.add("parameter", f"{quoted(self._open(name, is_string=True))} {value}")
        opening, end = quoted(self._open(name, is_string=False)), quoted(self.parameter_end)
        return rules.add("parameter", f"{opening} {json_value(shape)} {end}")


def _readable(fields: Fields, tool: ToolSchema) -> Fields | None:
    """The arguments, with values that the parser takes for what they are: strings may look like anything."""
    kinds = {name: _kinds(name, tool) for name in fields.properties}
    read = {
        name: of_kinds(shape, kinds[name]) if "string" in kinds[name] else shape
        for name, shape in fields.properties.items()
    }
    return possible(replace(fields, properties=read))


def _kinds(name: str, tool: ToolSchema) -> frozenset[str]:
    return kinds_of(tool.parameters.get("properties", {}).get(name), tool.parameters)


def tagged_grammar(spelling: Spelling) -> Grammar:
    """The grammar of a format that is spelled so."""
    return grammar_of(spelling.rule)


def text_of(value: Any) -> str:
    """A value as raw text: a string as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
