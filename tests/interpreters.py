"""One fork server for all tests of a process. It ends with the process, as every fork server does."""

from functools import cache
from typing import Any

from tool_service.tools.python.fork_server import ForkServer
from tool_service.tools.python.interpreter import DEFAULT_LIMITS, Interpreter, InterpreterLimits


@cache
def fork_server() -> ForkServer:
    """With the imports that users get."""
    return ForkServer()


async def opened(limits: InterpreterLimits = DEFAULT_LIMITS, **options: Any) -> Interpreter:
    """An interpreter of that server."""
    return await Interpreter.open(fork_server(), limits, **options)
