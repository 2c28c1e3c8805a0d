"""The format of Qwen2.5, Qwen3 and the Hermes models.

    turn = text ( "<tool_call>" ws ( call | array of calls ) ws "</tool_call>" ws text )*
    call = {"name": …, "arguments": …}

A `<tool_call>` that no bracket follows is text, so prose may mention it. A call is sealed by its last `}`; its closer
may be missing.
"""

from tool_service.formats.families.marked_json import MarkedJsonParser, marked_call
from tool_service.formats.format import Format, Tools
from tool_service.formats.grammar import marked_grammar
from tool_service.formats.instructions import instructions_by
from tool_service.formats.scanning.markers import Marker
from tool_service.formats.scanning.turn_parser import Scanners


class HermesParser(MarkedJsonParser):
    """Reads one turn."""

    scanners = Scanners((Marker("<tool_call>", then=("{", "[")),), (Marker("</tool_call>"),))


def _parser(tools: Tools) -> HermesParser:
    return HermesParser()


_SPELLING = ("<tool_call>\n", "\n</tool_call>")

_write = marked_call(*_SPELLING)

HERMES = Format(
    name="hermes",
    description="JSON between <tool_call> and </tool_call>, as Qwen2.5, Qwen3 and the Hermes models write it",
    parser=_parser,
    write=_write,
    instructions=instructions_by(_write),
    grammar=marked_grammar(*_SPELLING),
)
