"""The grammar for turns that must be a call: names checked against the format's own parser, then its grammar."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from protos.schemas.reading import UnenforceableError
from tool_service.formats.events import CallOpened, CallSealed, JsonValue
from tool_service.formats.format import Format, ToolSchema
from tool_service.formats.grammar import arguments_of


def call_grammar(format_: Format, tools: Sequence[ToolSchema]) -> str:
    """The grammar whose sentences are one call of one of these tools each, with arguments that fit its schema.

    Arguments that need not be given are left out where the format cannot write their names. Raises UnenforceableError.
    """
    return format_.grammar(tools if format_.only_tool else [_writable(format_, tool) for tool in tools])


def _writable(format_: Format, tool: ToolSchema) -> ToolSchema:
    if not _is_read(format_, tool.name, ()):
        raise _unwritable(format_, tool, [])
    properties: Mapping[str, Any] = tool.parameters.get("properties", {})
    names = {*properties, *tool.parameters.get("required", ())}
    names.update(itertools.chain(*(each.properties for each in arguments_of(tool))))  # of its choices too
    wrong = [] if _is_read(format_, tool.name, names) else [n for n in names if not _is_read(format_, tool.name, {n})]
    for name in wrong:
        if name in tool.parameters.get("required", ()):
            raise _unwritable(format_, tool, [name])
    return replace(tool, parameters={**tool.parameters, "properties": {**properties, **dict.fromkeys(wrong, False)}})


def _is_read(format_: Format, tool: str, names: Iterable[str]) -> bool:
    """Whether a call with these arguments is read as what it was written from."""
    given: dict[str, JsonValue] = dict.fromkeys(sorted(names), "x")
    parser = format_.parser({tool: {}})
    events = [*parser.feed(format_.write(tool, given)), *parser.close("stop")]
    calls = [event for event in events if isinstance(event, CallOpened | CallSealed)]
    return calls == [CallOpened(0, tool), CallSealed(0, given)]


def _unwritable(format_: Format, tool: ToolSchema, path: list[str]) -> UnenforceableError:
    error = UnenforceableError(f"a call in the format {format_.name!r} cannot have this name in it")
    error.tool, error.path = tool.name, path
    return error
