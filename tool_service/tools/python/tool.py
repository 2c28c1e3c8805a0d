"""`python`: runs each statement while the next one is still being decoded."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from tool_service.interface import Artifact, Effect, Session, Stream, Tool, tool
from tool_service.statements import StatementSplitter
from tool_service.tools.python.fork_server import ForkServer
from tool_service.tools.python.interpreter import DEFAULT_LIMITS, require_boundary
from tool_service.tools.python.interpreters import Interpreters
from tool_service.tools.python.settings import PythonSettings

_log = logging.getLogger(__name__)


def python_tool(interpreters: Interpreters) -> Tool:
    """The tool, over interpreters of this kind."""

    @tool(effect=Effect.NONE, timeout=60, concurrency=16)
    async def python(code: Stream[str], session: Session) -> AsyncIterator[str | Artifact]:
        """Run Python code. Variables stay from call to call. What is printed, the last value and figures come back.

        Args:
            code: Python source code.
        """
        async with interpreters.program(session) as program:
            async for statement in code.units(StatementSplitter()):
                async for piece in program.run(statement):
                    yield piece
            async for piece in program.end():
                yield piece

    return python


@asynccontextmanager
async def python_tools(settings: PythonSettings) -> AsyncIterator[list[Tool]]:
    """The tool, and its fork server, which starts in the background and ends here.

    Raises `SandboxUnavailable` where nothing can hold the code in, unless the sandbox is switched off.
    """
    if settings.sandbox == "on":
        require_boundary()
    else:
        _log.warning("the sandbox of python is off: its code has the rights and the files of this service")
    interpreters = Interpreters(
        ForkServer(settings.preload),
        has_boundary=settings.sandbox == "on",
        limits=replace(
            DEFAULT_LIMITS,
            group_memory_bytes=settings.memory_mib << 20,
            folder_bytes=settings.folder_mib << 20,
        ),
        places=asyncio.Semaphore(settings.interpreters),
    )
    warming = asyncio.create_task(interpreters.warm_up())
    try:
        yield [python_tool(interpreters)]
    finally:
        warming.cancel()
        interpreters.server.close()
