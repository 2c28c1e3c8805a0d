"""`python`: runs each statement while the next one is still being decoded."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from tool_service.interface import Effect, Reject, Session, Stream, tool
from tool_service.statements import StatementSplitter
from tool_service.tools.python.interpreter import Interpreter, InterpreterDied, StatementFailed


@tool(effect=Effect.NONE, timeout=60, concurrency=16)
async def python(code: Stream[str], session: Session) -> AsyncGenerator[str, None]:
    """Run Python code. Variables stay from call to call. Gives back what is printed, and the value of the last line.

    Args:
        code: Python source code.
    """
    failure = ""
    try:
        async with session.exclusive(Interpreter.open) as interpreter:  # opens while the code is being decoded
            try:
                async with aclosing(_run(interpreter, code)) as output:
                    async for text in output:
                        yield text
            except StatementFailed as error:  # the interpreter is well: the next call finds its variables
                failure = error.traceback
    except InterpreterDied as error:
        failure = str(error)
    if failure:
        raise Reject(failure)


async def _run(interpreter: Interpreter, code: Stream[str]) -> AsyncGenerator[str, None]:
    interpreter.start_program()
    async for statement in code.units(StatementSplitter()):
        async with aclosing(interpreter.run(statement)) as output:
            async for text in output:
                yield text
    if value := await interpreter.last_value():
        yield f"{value}\n"
