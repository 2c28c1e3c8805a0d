"""A call as a model would write it, from what was given on the command line."""

import enum
import json
import re
from typing import Any, NoReturn

import typer

_CODE_TOOL, _CODE_ARGUMENT = "python", "code"
_FENCE = re.compile(r"^[ \t]*```", re.MULTILINE)


class CallFormat(enum.StrEnum):
    """How a call is written by hand: two of the formats in which models write them."""

    JSON = "json"
    CODE_BLOCK = "code_block"


def check_arguments(text: str) -> dict[str, Any]:
    """The arguments. Raises `typer.BadParameter`, with the place of the mistake, unless `text` is a JSON object."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        _refuse(f"not JSON at line {error.lineno}, column {error.colno}: {error.msg}")
    except RecursionError:
        _refuse("nested too deeply")
    if not isinstance(value, dict):
        _refuse('not a JSON object, such as {"expression": "6 * 7"}')
    return value


def written_call(name: str, arguments: str, call_format: CallFormat) -> str:
    """The text of a call of the tool `name`. Raises `typer.BadParameter` for what cannot be written."""
    values = check_arguments(arguments)
    if call_format is CallFormat.JSON:  # with the arguments as they were given, mistakes of types and names included
        return f'{{"name": {json.dumps(name)}, "arguments": {arguments}}}'
    return _code_block(name, values)


def _code_block(name: str, values: dict[str, Any]) -> str:
    code = values.get(_CODE_ARGUMENT)
    if name != _CODE_TOOL:
        raise typer.BadParameter(f"code_block can only call {_CODE_TOOL}, not {name}", param_hint="--format")
    if set(values) != {_CODE_ARGUMENT} or not isinstance(code, str):
        _refuse(f'in code_block they are {{"{_CODE_ARGUMENT}": "…"}} and nothing else')
    if _FENCE.search(code):
        _refuse("the code has a line that begins with ```, which would end the block; use --format json")
    return f"```python\n{code}{'' if code.endswith(chr(10)) else chr(10)}```"


def _refuse(why: str) -> NoReturn:
    raise typer.BadParameter(why, param_hint="--arguments")
