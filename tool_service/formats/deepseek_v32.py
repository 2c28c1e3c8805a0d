"""The format of DeepSeek-V3.2 and V4, which say of each value whether it is a string.

turn = text ( ( "<｜DSML｜function_calls>" | "<｜DSML｜tool_calls>" ) ws ( call ws )+ closer text )*
call = '<｜DSML｜invoke name="' name '">' ( ws parameter )* ws "</｜DSML｜invoke>"
parameter = '<｜DSML｜parameter name="' key '" string="' ( "true" | "false" ) '">' value "</｜DSML｜parameter>"
"""

from tool_service.formats.families.tagged import TaggedParser, Tags
from tool_service.formats.families.tagged_spelling import Spelling, tagged_grammar
from tool_service.formats.format import Format
from tool_service.formats.instructions import instructions_by
from tool_service.formats.scanning.markers import Marker
from tool_service.formats.scanning.turn_parser import Scanners

_INVOKE = Marker('<｜DSML｜invoke name="')
_STRING, _JSON = Marker('" string="true">'), Marker('" string="false">')
_BLOCKS = ("function_calls", "tool_calls")


class DeepseekV32Parser(TaggedParser):
    """Reads one turn."""

    scanners = Scanners(
        (_INVOKE,),
        tuple(Marker(f"</｜DSML｜{block}>") for block in _BLOCKS),
        tuple(Marker(f"<｜DSML｜{block}>", then=(_INVOKE.literal,)) for block in _BLOCKS),
    )
    tags = Tags(
        name_end=('">',),
        key='<｜DSML｜parameter name="',
        key_end=(_STRING, _JSON, Marker('">')),
        value_end="</｜DSML｜parameter>",
        call_end=("</｜DSML｜invoke>",),
    )

    def kinds(self, key_end: str, name: str) -> frozenset[str]:
        """A string if it says so, JSON if it says that; else by the schema."""
        if key_end == _STRING.literal:
            return frozenset({"string"})
        return frozenset() if key_end == _JSON.literal else super().kinds(key_end, name)


_SPELLING = Spelling(
    before='<｜DSML｜function_calls>\n<｜DSML｜invoke name="NAME">\n',
    parameter='<｜DSML｜parameter name="KEY" string="true">',
    parameter_json='<｜DSML｜parameter name="KEY" string="false">',
    parameter_end="</｜DSML｜parameter>\n",
    after="</｜DSML｜invoke>\n</｜DSML｜function_calls>",
)

DEEPSEEK_V32 = Format(
    name="deepseek_v32",
    description="<｜DSML｜invoke> with typed <｜DSML｜parameter> tags, as DeepSeek-V3.2 and V4 write it",
    parser=DeepseekV32Parser,
    write=_SPELLING.write,
    instructions=instructions_by(_SPELLING.write),
    grammar=tagged_grammar(_SPELLING),
)
