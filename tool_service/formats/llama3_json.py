"""The format of Llama 3.1 and later (llama4_json too): bare JSON objects with `parameters`.

    turn = text ( [ "<|python_tag|>" ] object ( ws ";" )? text )*        object = {"name": …, "parameters": …}

An object may stand anywhere in the text. Without the tag it must look like a call, from its first key on: see
`JsonCallReader`.
"""

from tool_service.formats.families.marked_json import MarkedJsonParser, marked_call
from tool_service.formats.format import Format, Tools
from tool_service.formats.grammar import marked_grammar
from tool_service.formats.instructions import instructions_by
from tool_service.formats.scanning.json_call import CALL_KEYS
from tool_service.formats.scanning.markers import Found, Marker
from tool_service.formats.scanning.turn_parser import Scanners

_TAG = Marker("<|python_tag|>", then=("{",))
_OBJECT = Marker("{", then=tuple(f'"{key}"' for key in sorted(CALL_KEYS)))


class Llama3JsonParser(MarkedJsonParser):
    """Reads one turn."""

    scanners = Scanners((_TAG, _OBJECT), separators=(Marker(";"),))

    def __init__(self, tools: Tools) -> None:
        super().__init__()
        self._tools = frozenset(tools)

    def begin(self, text: str, found: Found) -> int:
        """A value begins; a bracket without the tag is its first."""
        return super().begin(text, Found(_OBJECT, found.start, found.start) if found.marker is _OBJECT else found)

    def known(self, found: Found) -> frozenset[str] | None:
        """Behind the tag, any name."""
        return None if found.marker is _TAG else self._tools


_write = marked_call("", "", key="parameters")

LLAMA3_JSON = Format(
    name="llama3_json",
    description="bare JSON objects with name and parameters, as Llama 3.1 and later write them",
    parser=Llama3JsonParser,
    write=_write,
    instructions=instructions_by(_write),
    grammar=marked_grammar("", "", key="parameters"),
)
