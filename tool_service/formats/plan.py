"""The format of the paper's planning workload: lines between `>>>` and `<<<` are a plan.

    turn = ( line | ">>>" ws ( "$" number " = " tool "(" arguments ")" newline )* "<<<" )*    the call: plan(plan=lines)

Both marks stand at the start of a line. A `>>>` that neither `$` nor `<<<` follows is text. See `blocks.py`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tool_service.formats.families.blocks import THINK_BEGINNING, THINK_HEAD, BlockParser
from tool_service.formats.format import Format, Tools, ToolSchema, TurnStop
from tool_service.formats.instructions import list_tools
from tool_service.formats.scanning.markers import Marker

TOOL = "plan"
ARGUMENT = "plan"

_OPENER = Marker(">>>", then=("$", "<<<"))
_CLOSER = Marker("<<<")


class PlanParser(BlockParser):
    """Reads one turn."""

    tool, argument = TOOL, ARGUMENT
    opening = re.compile(
        rf"(?P<open>{_OPENER.pattern})|{THINK_HEAD}|(?P<beginning>(?:{_OPENER.beginning})\Z|{THINK_BEGINNING})"
    )
    closing = re.compile(rf"(?P<close>{_CLOSER.pattern})|(?P<beginning>(?:{_CLOSER.beginning})\Z)")
    next_line = re.compile(r"\n(?=[>< \t]|\Z)")


def _parser(tools: Tools) -> PlanParser:
    return PlanParser()


def _write(name: str, arguments: Mapping[str, Any]) -> str:
    return f">>>\n{arguments[ARGUMENT]}<<<"


def _instructions(tools: Sequence[ToolSchema]) -> str:
    return (
        f"You can use these tools:\n{list_tools(tools)}\n"
        "To use them, write a plan: a numbered line for each step, which may name the results of others. For example:\n"
        ">>>\n$1 = search(height of the Eiffel Tower)\n$2 = search(height of Big Ben)\n$3 = ratio($1, $2)\n<<<\n"
        "The results come in the next message."
    )


def _grammar(tools: Sequence[ToolSchema]) -> str:
    return 'start: ">>>\\n" line+ "<<<"\nline: /\\$[0-9]{1,3} = [A-Za-z_]\\w*\\([^\\n]*\\)\\n/\n'


PLAN = Format(
    name="plan",
    description="lines like $1 = search(tea) between >>> and <<<, as a call of the tool plan",
    parser=_parser,
    write=_write,
    instructions=_instructions,
    grammar=_grammar,
    template_native=False,
    stops=(TurnStop(">>>", "\n<<<"),),
    only_tool=TOOL,
    lists_inner=True,
)
