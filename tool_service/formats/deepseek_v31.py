"""The format of DeepSeek-V3.1: the name right before the arguments.

turn = text [ "<｜tool▁calls▁begin｜>" ] call* [ "<｜tool▁calls▁end｜>" ]
call = "<｜tool▁call▁begin｜>" name "<｜tool▁sep｜>" object "<｜tool▁call▁end｜>"
"""

from tool_service.formats.deepseek_v3 import CALL_BEGIN, CALL_END, CALLS_BEGIN, CALLS_END
from tool_service.formats.families.named_json import NamedJsonParser, header_pattern, named_call
from tool_service.formats.format import Format, Tools
from tool_service.formats.grammar import named_grammar
from tool_service.formats.instructions import instructions_by
from tool_service.formats.scanning.turn_parser import Scanners


class DeepseekV31Parser(NamedJsonParser):
    """Reads one turn."""

    scanners = Scanners((CALL_BEGIN,), (CALL_END, CALLS_END), (CALLS_BEGIN,))
    header = header_pattern(r" NAME <｜tool▁sep｜> ")


def _parser(tools: Tools) -> DeepseekV31Parser:
    return DeepseekV31Parser()


_SPELLING = (
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>NAME<｜tool▁sep｜>",
    "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
)

_write = named_call(*_SPELLING)

DEEPSEEK_V31 = Format(
    name="deepseek_v31",
    description="a name and a JSON object in <｜tool▁call▁begin｜>…<｜tool▁call▁end｜>, as DeepSeek-V3.1 writes it",
    parser=_parser,
    write=_write,
    instructions=instructions_by(_write),
    grammar=named_grammar(*_SPELLING),
)
