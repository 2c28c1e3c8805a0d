"""What the formats' grammars have in common: Lark grammars in llguidance's dialect, made of the tools' schemas.

    JSON schema ─▶ shapes (protos/schemas/reading.py) ─▶ what the format can write of them (…/narrowing.py)
                ─▶ JSON schemas for llguidance (…/writing.py), regular expressions of raw strings, rules

The sentences of a grammar are calls that fit the schema, whoever writes them. They need not be all such calls.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from protos.schemas.narrowing import Narrowing
from protos.schemas.reading import UnenforceableError, bounded_work, read_schema
from protos.schemas.shapes import Fields, Literals, Shape, Text
from protos.schemas.writing import SchemaWriter
from tool_service.formats.format import ToolSchema

Grammar = Callable[[Sequence[ToolSchema]], str]


class Rules:
    """The rules of a grammar, by name."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def add(self, kind: str, body: str) -> str:
        """Adds a rule; gives its name. A kind in capitals makes it a terminal, which llguidance reads as one."""
        name = f"{kind}_{len(self._texts)}"
        self._texts[name] = body
        return name

    def grammar(self, start: str) -> str:
        """The grammar that begins with this rule."""
        return "".join(f"{name}: {body}\n" for name, body in {"start": start, **self._texts}.items())


def marked_grammar(before: str, after: str, key: str = "arguments") -> Grammar:
    """The grammar of formats that write a call as one JSON object between these texts."""

    def call(tool: ToolSchema, _: Rules) -> str:
        return joined(quoted(before), f"%json {call_schema(tool, key)}", quoted(after))

    return grammar_of(call)


def named_grammar(before: str, after: str) -> Grammar:
    """The grammar of formats that write NAME in the text before the arguments' object."""

    def call(tool: ToolSchema, _: Rules) -> str:
        opening, closing = (quoted(text.replace("NAME", tool.name)) for text in (before, after))
        return joined(opening, json_value(arguments_of(tool)), closing)

    return grammar_of(call)


def grammar_of(call: Callable[[ToolSchema, Rules], str]) -> Grammar:
    """The grammar whose sentences are one call of one tool. `call` gives the body of a tool's rule, and may add rules.

    The grammar raises `ValueError` if there are no tools, and UnenforceableError.
    """

    def grammar(tools: Sequence[ToolSchema]) -> str:
        if not tools:
            raise ValueError("a grammar needs at least one tool")
        rules = Rules()
        calls = [rules.add("call", call(tool, rules)) for tool in tools]
        return rules.grammar(" | ".join(calls))

    return grammar


def arguments_of(tool: ToolSchema, avoid: Sequence[str] = ()) -> tuple[Fields, ...]:
    """The arguments that a call may have, of which a format writes those that are listed. Raises UnenforceableError.

    `avoid`: see `Narrowing`.
    """
    try:
        if fitting := _fitting(tool.parameters, avoid):
            return fitting
        error = UnenforceableError("nothing fits it that can be written under a grammar of this format")
        needed = tool.parameters.get("required", ())
        error.path = [name for name in needed if not _fitting({**tool.parameters, "required": [name]}, avoid)][:1]
        raise error
    except UnenforceableError as error:
        error.tool = tool.name
        raise


def _fitting(parameters: Mapping[str, Any], avoid: Sequence[str]) -> tuple[Fields, ...]:
    with bounded_work():
        read = read_schema({"type": "object", **parameters})
        listed = tuple(replace(each, others=()) for each in read if isinstance(each, Fields))
        return tuple(each for each in Narrowing(avoid).shape(listed) if isinstance(each, Fields))


def call_schema(tool: ToolSchema, key: str = "arguments") -> str:
    """The JSON schema of a call: an object with the tool's name and its arguments, in that order."""
    writer = SchemaWriter()
    schema = {
        "type": "object",
        "properties": {"name": {"const": tool.name}, key: writer.schema(arguments_of(tool))},
        "required": ["name", key],
        "additionalProperties": False,
    }
    return writer.document(schema)


def json_value(shape: Shape) -> str:
    """What stands in a rule for a value that is written as JSON."""
    writer = SchemaWriter()
    return f"%json {writer.document(writer.schema(shape))}"


def raw_string(shape: Shape, end: str) -> str:
    """The body of a terminal: strings of a shape as they are, and the text that ends them."""
    literals = [value for each in shape if isinstance(each, Literals) for value in each.values]
    choices = [_choice(value) for value in literals if isinstance(value, str)]
    texts = [_text(each) for each in shape if isinstance(each, Text)]
    return joined(f"({' | '.join(choices + texts)})", quoted(end))


def _choice(text: str) -> str:
    return quoted(text) if text else "/(?:)/"


def _text(shape: Text) -> str:
    most = "" if shape.most is None else shape.most
    counted = f"/(?s:.{{{shape.least},{most}}})/" if shape.least or shape.most is not None else ""
    patterns = [f"/{pattern.replace('/', chr(92) + '/')}/" for pattern in shape.patterns]
    return " & ".join(filter(None, [counted, *patterns])) or "/(?s:.*)/"


def listed(parts: Mapping[str, bool], separator: str, other: str = "", least: int = 0, most: int | None = None) -> str:
    """The body of rules in a row: those that must be there, then any of those that need not.

    `other`: a rule that may follow, from `least` to `most` times; `least` is not 0 only where all of `parts` must be.
    """
    needed = [name for name, must in parts.items() if must]
    optional = [name for name, must in parts.items() if not must]
    between = quoted(separator)
    tail = repeated(f"{between} {other}", least, most) if other else ""
    if needed:
        return joined(f" {between} ".join(needed), *(f"({between} {name})?" for name in optional), tail)
    rows = [
        joined(name, *(f"({between} {later})?" for later in optional[index + 1 :]), tail)
        for index, name in enumerate(optional)
    ]
    if other:
        rows.append(
            joined(other, repeated(f"{between} {other}", max(least - 1, 0), None if most is None else most - 1))
        )
    return f"({' | '.join(rows)}){'' if least else '?'}" if rows else ""


def repeated(rule: str, least: int, most: int | None) -> str:
    """A rule so many times."""
    return "" if most == 0 else f"({rule}){{{least},{'' if most is None else most}}}"


def joined(*parts: str) -> str:
    """Parts of a rule, one after the other, without the empty ones."""
    return " ".join(part for part in parts if part not in ("", '""'))


def quoted(text: Any) -> str:
    """A text as a literal."""
    return json.dumps(text, ensure_ascii=False)
