"""The format of xLAM: a JSON array of calls, bare, in a fence, or behind `[TOOL_CALLS]`.

The format `json` with one marker more, which may stand before a value.
"""

from tool_service.formats.families.marked_json import marked_call
from tool_service.formats.format import Format
from tool_service.formats.grammar import marked_grammar
from tool_service.formats.instructions import instructions_by
from tool_service.formats.json_format import JsonParser, line_head
from tool_service.formats.scanning.markers import Marker

_MARKER = Marker("[TOOL_CALLS]", then=("[", "{"))


class XlamParser(JsonParser):
    """Reads one turn."""

    # A bracket before a T may begin the marker, and no value begins like that.
    head = line_head(rf"(?:{_MARKER.pattern}|(?=\{{|\[[^T]))", rf"(?:{_MARKER.beginning}|[{{\[])")


_SPELLING = ("[", "]")

_write = marked_call(*_SPELLING)

XLAM = Format(
    name="xlam",
    description="a JSON array of calls, bare, in a ```json fence or behind [TOOL_CALLS], as xLAM writes it",
    parser=XlamParser,
    write=_write,
    instructions=instructions_by(_write),
    grammar=marked_grammar(*_SPELLING),
    template_native=False,
)
