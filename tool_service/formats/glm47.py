"""The format of GLM-4.7: that of GLM-4.5 without its newlines."""

from tool_service.formats.families.tagged_spelling import Spelling, tagged_grammar
from tool_service.formats.format import Format
from tool_service.formats.glm45 import Glm45Parser
from tool_service.formats.instructions import instructions_by

_SPELLING = Spelling(
    before="<tool_call>NAME",
    parameter="<arg_key>KEY</arg_key><arg_value>",
    parameter_end="</arg_value>",
    after="</tool_call>",
)

GLM47 = Format(
    name="glm47",
    description="a name and <arg_key>, <arg_value> pairs in <tool_call>, on one line, as GLM-4.7 writes it",
    parser=Glm45Parser,
    write=_SPELLING.write,
    instructions=instructions_by(_SPELLING.write),
    grammar=tagged_grammar(_SPELLING),
)
