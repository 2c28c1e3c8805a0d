"""The format of Granite 3: a JSON array behind a marker, in which `arguments` may come before `name`.

turn = text ( ( "<|tool_call|>" | "<tool_call>" ) ws ( array | object ) [ "</tool_call>" ] text )*
"""

from tool_service.formats.families.marked_json import MarkedJsonParser, marked_call
from tool_service.formats.format import Format, Tools
from tool_service.formats.grammar import marked_grammar
from tool_service.formats.instructions import instructions_by
from tool_service.formats.scanning.markers import Marker
from tool_service.formats.scanning.turn_parser import Scanners

_VALUE = ("[", "{")


class GraniteParser(MarkedJsonParser):
    """Reads one turn."""

    scanners = Scanners(
        (Marker("<|tool_call|>", then=_VALUE), Marker("<tool_call>", then=_VALUE)), (Marker("</tool_call>"),)
    )


def _parser(tools: Tools) -> GraniteParser:
    return GraniteParser()


_SPELLING = ("<|tool_call|>[", "]")

_write = marked_call(*_SPELLING)

GRANITE = Format(
    name="granite",
    description="a JSON array behind <|tool_call|> or <tool_call>, as Granite writes it",
    parser=_parser,
    write=_write,
    instructions=instructions_by(_write),
    grammar=marked_grammar(*_SPELLING),
)
