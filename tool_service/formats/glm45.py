"""The format of GLM-4.5.

turn = text ( "<tool_call>" name ( ws "<arg_key>" key "</arg_key>" ws "<arg_value>" value "</arg_value>" )* ws
       "</tool_call>" text )*
"""

from tool_service.formats.families.tagged import TaggedParser, Tags
from tool_service.formats.families.tagged_spelling import Spelling, tagged_grammar
from tool_service.formats.format import Format
from tool_service.formats.instructions import instructions_by
from tool_service.formats.scanning.markers import Marker
from tool_service.formats.scanning.turn_parser import Scanners

_END = Marker("</tool_call>")


class Glm45Parser(TaggedParser):
    """Reads one turn."""

    scanners = Scanners((Marker("<tool_call>"),), (_END,))
    tags = Tags(
        name_end=("<arg_key>", _END.literal),
        key="<arg_key>",
        key_end=(Marker("</arg_key>", then=("<arg_value>",)),),
        value_begin="<arg_value>",
        value_end="</arg_value>",
        call_end=(_END.literal,),
    )


_SPELLING = Spelling(
    before="<tool_call>NAME\n",
    parameter="<arg_key>KEY</arg_key>\n<arg_value>",
    parameter_end="</arg_value>\n",
    after="</tool_call>",
)

GLM45 = Format(
    name="glm45",
    description="a name and <arg_key>, <arg_value> pairs in <tool_call>, a line each, as GLM-4.5 writes it",
    parser=Glm45Parser,
    write=_SPELLING.write,
    instructions=instructions_by(_SPELLING.write),
    grammar=tagged_grammar(_SPELLING),
)
