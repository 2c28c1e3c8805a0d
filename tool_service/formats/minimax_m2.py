"""The format of MiniMax-M2.

turn = text ( "<minimax:tool_call>" ws ( call ws )+ "</minimax:tool_call>" text )*
call = '<invoke name="' name '">' ( ws '<parameter name="' key '">' value "</parameter>" )* ws "</invoke>"
"""

from tool_service.formats.families.tagged import TaggedParser, Tags
from tool_service.formats.families.tagged_spelling import Spelling, tagged_grammar
from tool_service.formats.format import Format
from tool_service.formats.instructions import instructions_by
from tool_service.formats.scanning.markers import Marker
from tool_service.formats.scanning.turn_parser import Scanners

_INVOKE = Marker('<invoke name="')


class MinimaxM2Parser(TaggedParser):
    """Reads one turn."""

    scanners = Scanners(
        (_INVOKE,), (Marker("</minimax:tool_call>"),), (Marker("<minimax:tool_call>", then=(_INVOKE.literal,)),)
    )
    tags = Tags(
        name_end=('">',),
        key='<parameter name="',
        key_end=(Marker('">'),),
        value_end="</parameter>",
        call_end=("</invoke>",),
    )


_SPELLING = Spelling(
    before='<minimax:tool_call>\n<invoke name="NAME">\n',
    parameter='<parameter name="KEY">',
    parameter_end="</parameter>\n",
    after="</invoke>\n</minimax:tool_call>",
)

MINIMAX_M2 = Format(
    name="minimax_m2",
    description="<invoke> with <parameter> tags in <minimax:tool_call>, as MiniMax-M2 writes it",
    parser=MinimaxM2Parser,
    write=_SPELLING.write,
    instructions=instructions_by(_SPELLING.write),
    grammar=tagged_grammar(_SPELLING),
)
