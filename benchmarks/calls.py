"""Turns with one call whose arguments have a given size, in every format: what `parsing` measures with."""

from collections.abc import Mapping
from typing import Any

from tool_service.formats.format import Format, Tools

PARAMETERS = {"text": {"type": "string"}, "items": {"type": "array"}}
TOOL = "submit"
ROOM = 128  # left for names, brackets and the first line of a plan, so that the call stays within its limit

# What models write: prose and code with escapes, letters beyond ASCII, brackets that mean nothing.
_PROSE = 'if n < 3:\n    print("Größe: {0} € [\\"x\\"]")  # it\'s <b>\n'
_ITEM = {"id": 17, "price": 12.5, "name": "tea", "tags": ["a", None, True]}


def tools_of(format_: Format) -> Tools:
    """The tools that the turns call."""
    return {format_.only_tool or TOOL: {"type": "object", "properties": PARAMETERS}}


def text_turn(format_: Format, size: int) -> tuple[str, dict[str, Any]]:
    """A turn whose call has one long string of about so many characters, and the call's arguments."""
    text = (_PROSE * (size // len(_PROSE) + 1))[: size - ROOM]
    if format_.only_tool == "plan":
        text = "$1 = search(tea)\n" + text
    argument = {"python": "code", "plan": "plan"}.get(format_.only_tool, "text")
    return _turn(format_, {argument: f"{text}\n"})


def items_turn(format_: Format, size: int) -> tuple[str, dict[str, Any]]:
    """A turn whose call has a list of small objects that are written in about so many characters, and the arguments."""
    written = len(format_.write(TOOL, {"items": [_ITEM] * 2})) - len(format_.write(TOOL, {"items": [_ITEM]}))
    return _turn(format_, {"items": [_ITEM] * max(1, (size - ROOM) // written)})


def _turn(format_: Format, arguments: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    return format_.write(format_.only_tool or TOOL, arguments), dict(arguments)
