"""The format of Kimi K2.

turn = text [ "<|tool_calls_section_begin|>" ] call* [ "<|tool_calls_section_end|>" ] text
call = "<|tool_call_begin|>functions." name ":" index "<|tool_call_argument_begin|>" object "<|tool_call_end|>"
"""

from tool_service.formats.families.named_json import NamedJsonParser, header_pattern, named_call
from tool_service.formats.format import Format, Tools
from tool_service.formats.grammar import named_grammar
from tool_service.formats.instructions import instructions_by
from tool_service.formats.scanning.markers import Marker
from tool_service.formats.scanning.turn_parser import Scanners

_CALL_BEGIN = Marker("<|tool_call_begin|>")
# Both spellings of the section's markers are seen.
_BEGINS = tuple(
    Marker(f"<|{word}_section_begin|>", then=(_CALL_BEGIN.literal,)) for word in ("tool_calls", "tool_call")
)
_ENDS = (Marker("<|tool_call_end|>"), Marker("<|tool_calls_section_end|>"), Marker("<|tool_call_section_end|>"))


class KimiK2Parser(NamedJsonParser):
    """Reads one turn."""

    scanners = Scanners((_CALL_BEGIN,), _ENDS, _BEGINS)
    header = header_pattern(r" (?:functions\.)?NAME(?::\d{1,9})? <\|tool_call_argument_begin\|> ")


def _parser(tools: Tools) -> KimiK2Parser:
    return KimiK2Parser()


_SPELLING = (
    "<|tool_calls_section_begin|><|tool_call_begin|>functions.NAME:0<|tool_call_argument_begin|>",
    "<|tool_call_end|><|tool_calls_section_end|>",
)

_write = named_call(*_SPELLING)

KIMI_K2 = Format(
    name="kimi_k2",
    description="functions.name:index and a JSON object in <|tool_call_begin|>…<|tool_call_end|>, as Kimi K2 writes it",
    parser=_parser,
    write=_write,
    instructions=instructions_by(_write),
    grammar=named_grammar(*_SPELLING),
)
