"""`python` as an ordinary function: what the tool would be if it waited for its whole call."""

from collections.abc import AsyncIterator

from tool_service.interface import Artifact, Effect, Session, Tool, tool
from tool_service.tools.python.interpreters import Interpreters


def python_tool(interpreters: Interpreters) -> Tool:
    """The tool, over interpreters of this kind."""

    @tool(effect=Effect.NONE, timeout=60, concurrency=16)
    async def python(code: str, session: Session) -> AsyncIterator[str | Artifact]:
        """Run Python code. Variables stay from call to call. What is printed, the last value and figures come back.

        Args:
            code: Python source code.
        """
        async with interpreters.program(session) as program:
            async for piece in program.run(code):
                yield piece
            async for piece in program.end():
                yield piece

    return python
