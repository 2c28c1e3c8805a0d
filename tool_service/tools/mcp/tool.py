"""Tools of MCP servers: `[tools.mcp.NAME]`."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping

import structlog

from tool_service.interface.tool import Tool
from tool_service.tools.mcp.backoff import Backoff
from tool_service.tools.mcp.server import McpServer
from tool_service.tools.mcp.settings import McpServerSettings

CLOSE_SECONDS = 6.0  # for servers to end, which are asked, told and killed in less
SDK_LOGGERS = ("mcp", "client")

log = structlog.get_logger()


@contextlib.asynccontextmanager
async def mcp_tools(
    settings: Mapping[str, McpServerSettings],
    offer: Callable[[Tool], None],
    withdraw: Callable[[str], None],
    backoff: Callable[[], Backoff] = Backoff,
) -> AsyncIterator[None]:
    """Starts the servers, all at once, and stops them at the end; between the two `offer` and `withdraw` hear of their
    tools.

    Entered when each is up or could not be started, which its `start_seconds` bounds (and two more, to leave it). The
    latter are tried again. `offer` may refuse a tool with a ValueError.
    """
    for name in SDK_LOGGERS:  # their lines quote what servers send, and a server may send a lot
        logging.getLogger(name).setLevel(logging.CRITICAL)
    servers = [McpServer(name, each, offer, withdraw, backoff()) for name, each in settings.items()]
    tasks = [asyncio.create_task(server.run()) for server in servers]
    try:
        await asyncio.gather(*(server.tried.wait() for server in servers))
        yield
    finally:
        for server, task in zip(servers, tasks, strict=True):
            server.leave()
            task.cancel()
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
            if left:
                log.error("mcp servers do not end", count=len(left))
