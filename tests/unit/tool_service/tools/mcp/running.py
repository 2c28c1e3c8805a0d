"""Runs MCP servers for tests, and calls their tools as a service does."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from tests.unit.tool_service.completions import Log, start, written
from tool_service.execution import events as ev
from tool_service.execution.runner import Runner
from tool_service.interface import Artifact, Call, Tool
from tool_service.interface.meter import Meter
from tool_service.tools.mcp.backoff import Backoff
from tool_service.tools.mcp.settings import McpServerSettings
from tool_service.tools.mcp.tool import mcp_tools

FOLDER = Path(__file__).parent
BOUND = 20.0


def honest(**settings: object) -> McpServerSettings:
    return McpServerSettings(command=[sys.executable, str(FOLDER / "honest_server.py"), "stdio"], **settings)


def lying(kind: str, **settings: object) -> McpServerSettings:
    return McpServerSettings(command=[sys.executable, "-S", str(FOLDER / "lying_server.py"), kind], **settings)


class Offered:
    """The tools that are offered now."""

    def __init__(self) -> None:
        self.tools: dict[str, Tool] = {}
        self.listings = 0
        self._news = asyncio.Event()

    def offer(self, tool: Tool) -> None:
        self.tools[tool.name] = tool
        self.listings += 1
        self._news.set()

    def withdraw(self, name: str) -> None:
        del self.tools[name]
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(BOUND):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def use(self, name: str, *, traceparent: str | None = None, **arguments: object) -> list[str | Artifact]:
        """What a sealed call yields."""
        meter = Meter(1000.0, lambda _: None, lambda: None)
        meter.begin("test", 0)
        call = Call("call_1", "key", meter, traceparent)
        call.seal(0)
        try:
            async with contextlib.aclosing(self.tools[name].function(**arguments, **{"/call": call})) as pieces:
                return [piece async for piece in pieces]
        finally:
            meter.end()

    def start(self, name: str, **arguments: object) -> tuple[Runner, Log]:
        """A completion that has written a call."""
        log = Log()
        runner = start(log, *self.tools.values(), completion_id="c1")
        runner.text(written(name, **arguments))
        return runner, log

    async def outcome(self, name: str, **arguments: object) -> str | ev.Failure:
        """How a call of a completion ends."""
        runner, log = self.start(name, **arguments)
        async with asyncio.timeout(BOUND):
            await runner.end_turn("stop")
        await runner.aclose()
        return log.finished().outcome


@contextlib.asynccontextmanager
async def serving(**servers: McpServerSettings) -> AsyncIterator[Offered]:
    offered = Offered()
    async with mcp_tools(servers, offered.offer, offered.withdraw, lambda: Backoff(0.05, 0.2)):
        yield offered
