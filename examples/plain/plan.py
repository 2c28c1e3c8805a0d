"""`plan` as an ordinary function: what the tool would be if it waited for its whole call."""

from collections.abc import AsyncIterator

from tool_service.interface import Toolbox, tool
from tool_service.tools.plan.plan import Plan


@tool(timeout=60, concurrency=64)
async def plan(plan: str, toolbox: Toolbox) -> AsyncIterator[str]:
    """Carry out a plan that calls other tools, a line for each call, and give back each line's result.

    Args:
        plan: Lines like $1 = search(height of Big Ben). A line may name results of earlier ones: $3 = ratio($1, $2).
    """
    async with Plan(toolbox) as running:
        for line in plan.splitlines():
            running.start(line)
        async for result in running.results():
            yield result
