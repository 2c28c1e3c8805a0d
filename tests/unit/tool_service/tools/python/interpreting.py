"""What the tests of interpreters ask of one."""

from pathlib import Path

import pytest

from tool_service.tools.python import fork_server
from tool_service.tools.python.interpreter import (
    Interpreter,
    InterpreterError,
)

REPOSITORY = Path(__file__).parents[5]


IS_OPEN = """
import os
def is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
"""


async def printed(interpreter: Interpreter, statement: str) -> str:
    return "".join([piece async for piece in interpreter.run(statement) if isinstance(piece, str)])


async def failure(interpreter: Interpreter, statement: str) -> str:
    with pytest.raises(InterpreterError) as raised:
        await printed(interpreter, statement)
    return str(raised.value)


async def folder_of(interpreter: Interpreter) -> Path:
    return Path(await printed(interpreter, "import os; print(os.getcwd(), end='')")).parent


def changed_copy(folder: Path, name: str, old: str, new: str) -> Path:
    """The fork server's program, with one file changed."""
    for source in fork_server.ZYGOTE.parent.glob("*.py"):
        text = source.read_text()
        assert source.name != name or old in text
        (folder / source.name).write_text(text.replace(old, new) if source.name == name else text)
    return folder / "zygote.py"
