"""The format of LFM2: a Python list of calls between special tokens.

turn = text ( "<|tool_call_start|>" ws "[" call ( "," call )* "]" ws "<|tool_call_end|>" text )*
call: see `pythonic.py`
"""

from tool_service.formats.families.python_calls import PythonCallsParser, python_call, python_grammar
from tool_service.formats.format import Format, Tools
from tool_service.formats.instructions import instructions_by
from tool_service.formats.scanning.markers import Marker
from tool_service.formats.scanning.turn_parser import Scanners


class Lfm2Parser(PythonCallsParser):
    """Reads one turn."""

    scanners = Scanners((Marker("<|tool_call_start|>"),), (Marker("<|tool_call_end|>"),))


def _parser(tools: Tools) -> Lfm2Parser:
    return Lfm2Parser()


_SPELLING = ("<|tool_call_start|>[", "]<|tool_call_end|>")

_write = python_call(*_SPELLING)

LFM2 = Format(
    name="lfm2",
    description="a Python list of calls between <|tool_call_start|> and <|tool_call_end|>, as LFM2 writes it",
    parser=_parser,
    write=_write,
    instructions=instructions_by(_write),
    grammar=python_grammar(*_SPELLING),
)
