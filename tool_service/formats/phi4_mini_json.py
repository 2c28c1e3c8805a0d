"""The format of Phi-4-mini: `functools` and a JSON array.

turn = text ( "functools" ws array text )*
"""

from tool_service.formats.families.marked_json import MarkedJsonParser, marked_call
from tool_service.formats.format import Format, Tools
from tool_service.formats.grammar import marked_grammar
from tool_service.formats.instructions import instructions_by
from tool_service.formats.scanning.markers import Marker
from tool_service.formats.scanning.turn_parser import Scanners


class Phi4MiniJsonParser(MarkedJsonParser):
    """Reads one turn."""

    scanners = Scanners((Marker("functools", then=("[",)),))


def _parser(tools: Tools) -> Phi4MiniJsonParser:
    return Phi4MiniJsonParser()


_SPELLING = ("functools[", "]")

_write = marked_call(*_SPELLING)

PHI4_MINI_JSON = Format(
    name="phi4_mini_json",
    description="a JSON array behind the word functools, as Phi-4-mini writes it",
    parser=_parser,
    write=_write,
    instructions=instructions_by(_write),
    grammar=marked_grammar(*_SPELLING),
)
