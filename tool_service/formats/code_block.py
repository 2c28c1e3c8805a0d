"""The format of models that were taught nothing but to write code: a Python fence is a call.

    turn = ( line | "```python\\n" code "```\\n" )*          the call: python(code=code)

Fences stand at the start of a line; blanks may follow them. See `blocks.py` for the states.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tool_service.formats.families.blocks import THINK_BEGINNING, THINK_HEAD, BlockParser
from tool_service.formats.format import Format, Tools, ToolSchema, TurnStop
from tool_service.formats.scanning.markers import (
    CLOSING_FENCE,
    CLOSING_FENCE_BEGINNING,
    FENCE,
    FENCE_BEGINNING,
    MAX_BLANKS,
)

TOOL = "python"
ARGUMENT = "code"

_BLANKS = rf"[ \t\r]{{0,{MAX_BLANKS}}}"


class CodeBlockParser(BlockParser):
    """Reads one turn."""

    tool, argument = TOOL, ARGUMENT
    opening = re.compile(
        rf"(?P<open>(?=```[^`\n]{{0,{MAX_BLANKS}}}\n)```{_BLANKS}(?i:python|py){_BLANKS}\n)|(?P<other>{FENCE.pattern})|{THINK_HEAD}"
        rf"|(?P<beginning>{FENCE_BEGINNING.pattern}|{THINK_BEGINNING})"
    )
    closing = re.compile(rf"(?P<close>{CLOSING_FENCE.pattern})|(?P<beginning>{CLOSING_FENCE_BEGINNING.pattern})")
    next_line = re.compile(r"\n(?=[`< \t]|\Z)")


def _parser(tools: Tools) -> CodeBlockParser:
    return CodeBlockParser()


def _write(name: str, arguments: Mapping[str, Any]) -> str:
    return f"```python\n{arguments[ARGUMENT]}```"


def _instructions(tools: Sequence[ToolSchema]) -> str:
    return (
        "You can run Python. Write the code in one ```python block and print what you want to know. For example:\n"
        "```python\nprint(6 * 7)\n```\n"
        "The output comes in the next message."
    )


def _grammar(tools: Sequence[ToolSchema]) -> str:
    # The code begins with neither newline nor backtick, so the first fence the parser sees is the one that ends it.
    return 'start: "```python\\n" code\ncode[suffix="\\n```"]: /[^`\\n](.|\\n)*/\n'


CODE_BLOCK = Format(
    name="code_block",
    description="a ```python fence whose text is the code of a call of the tool python",
    parser=_parser,
    write=_write,
    instructions=_instructions,
    grammar=_grammar,
    template_native=False,
    stops=tuple(TurnStop(f"```{word}", "\n```") for word in ("python", "py", "Python", "Py")),
    only_tool=TOOL,
)
