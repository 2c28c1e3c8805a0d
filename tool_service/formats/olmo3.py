"""The format of OLMo 3: Python calls, a line each.

turn = text ( "<function_calls>" ws call ( ws call )* ws "</function_calls>" text )*        call: see `pythonic.py`
"""

from tool_service.formats.families.python_calls import BARE_CALL, PythonCallsParser, python_call, python_grammar
from tool_service.formats.format import Format, Tools
from tool_service.formats.instructions import instructions_by
from tool_service.formats.scanning.markers import Marker
from tool_service.formats.scanning.turn_parser import Scanners


class Olmo3Parser(PythonCallsParser):
    """Reads one turn."""

    scanners = Scanners((Marker("<function_calls>"),), (Marker("</function_calls>"),))
    first = BARE_CALL
    next = BARE_CALL


def _parser(tools: Tools) -> Olmo3Parser:
    return Olmo3Parser()


_SPELLING = ("<function_calls>\n", "\n</function_calls>")

_write = python_call(*_SPELLING)

OLMO3 = Format(
    name="olmo3",
    description="Python calls, a line each, between <function_calls> and </function_calls>, as OLMo 3 writes it",
    parser=_parser,
    write=_write,
    instructions=instructions_by(_write),
    grammar=python_grammar(*_SPELLING),
)
