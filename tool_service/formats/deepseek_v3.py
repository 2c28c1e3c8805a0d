"""The format of DeepSeek-V3 and R1: the name before a fence that holds the arguments.

turn = text [ "<｜tool▁calls▁begin｜>" ] ( call [ "\\n" ] )* [ "<｜tool▁calls▁end｜>" ]
call = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>" name "\\n```json\\n" object "\\n```<｜tool▁call▁end｜>"
"""

from tool_service.formats.families.named_json import NamedJsonParser, header_pattern, named_call
from tool_service.formats.format import Format, Tools
from tool_service.formats.grammar import named_grammar
from tool_service.formats.instructions import instructions_by
from tool_service.formats.scanning.markers import Marker
from tool_service.formats.scanning.turn_parser import Scanners

CALL_BEGIN = Marker("<｜tool▁call▁begin｜>")
CALL_END = Marker("<｜tool▁call▁end｜>")
CALLS_BEGIN = Marker("<｜tool▁calls▁begin｜>", then=(CALL_BEGIN.literal,))
CALLS_END = Marker("<｜tool▁calls▁end｜>")
FENCE_END = Marker("```", then=(CALL_END.literal,))


class DeepseekV3Parser(NamedJsonParser):
    """Reads one turn."""

    scanners = Scanners((CALL_BEGIN,), (CALL_END, CALLS_END, FENCE_END), (CALLS_BEGIN,))
    header = header_pattern(r" function <｜tool▁sep｜> NAME (?:```(?:json)?)? ")


def _parser(tools: Tools) -> DeepseekV3Parser:
    return DeepseekV3Parser()


_SPELLING = (
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME\n```json\n",
    "\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
)

_write = named_call(*_SPELLING)

DEEPSEEK_V3 = Format(
    name="deepseek_v3",
    description="a name and a ```json fence in <｜tool▁call▁begin｜>…<｜tool▁call▁end｜>, as DeepSeek-V3 writes it",
    parser=_parser,
    write=_write,
    instructions=instructions_by(_write),
    grammar=named_grammar(*_SPELLING),
)
