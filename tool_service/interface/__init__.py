"""What the author of a tool writes with.

    from tool_service.interface import Arg, Effect, Reject, Stream, tool

    @tool(effect=Effect.READ, timeout=10)
    async def search(query: Arg[str], site: Arg[str | None] = None) -> list[Hit]:
        client = await connect()                  # runs while the query is still being decoded
        hits = await client.search(await query)   # runs while the rest of the call is still being decoded
        return [hit for hit in hits if hit.on(await site)]

A plain parameter makes the tool run when its call is sealed; with `Arg` and `Stream` parameters only, it runs from the
moment its name is sealed. Parameters annotated `Call`, `Session` and `Toolbox` are handed in and are not part of the
schema.
"""

from tool_service.interface.artifact import Artifact
from tool_service.interface.call import Call
from tool_service.interface.effect import Effect
from tool_service.interface.inputs import Arg, Stream
from tool_service.interface.reject import Reject, ToolError
from tool_service.interface.session import Session
from tool_service.interface.tool import Tool, tool
from tool_service.interface.toolbox import InnerCall, InnerCallError, Toolbox

__all__ = [
    "Arg",
    "Artifact",
    "Call",
    "Effect",
    "InnerCall",
    "InnerCallError",
    "Reject",
    "Session",
    "Stream",
    "Tool",
    "ToolError",
    "Toolbox",
    "tool",
]
