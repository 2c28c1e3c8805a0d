"""An MCP server made with the SDK: `python honest_server.py stdio`, or `http PORT`."""

import asyncio
import base64
import os
import subprocess
import sys
from pathlib import Path

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import (
    AudioContent,
    BlobResourceContents,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
    ToolAnnotations,
)

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
server = MCPServer("honest")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def add(a: int, b: int = 1) -> str:
    """Add two numbers."""
    return str(a + b)


@server.tool(annotations=ToolAnnotations(idempotent_hint=True))
def where() -> str:
    """Folder and environment."""
    return f"{Path.cwd()}\n{sorted(os.environ)}\n{os.environ.get('GREETING', '')}"


@server.tool()
async def count(steps: int, ctx: Context) -> str:
    """Count, and tell of it."""
    for step in range(1, steps + 1):
        await ctx.report_progress(step, steps, f"step {step}")
    return "done"


@server.tool()
async def wait(folder: str, ctx: Context) -> str:
    """Wait for ever; leave word of beginning and cancellation in a folder."""
    Path(folder, "began").touch()
    await ctx.report_progress(0, 1, "waiting")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        Path(folder, "cancelled").touch()
        raise
    return "never"


@server.tool()
def die(status: int) -> str:
    """End at once."""
    print("farewell", file=sys.stderr, flush=True)
    os._exit(status)


@server.tool()
def fail() -> str:
    """Fail."""
    raise ToolError("no luck today")


@server.tool()
def show() -> list[ContentBlock]:
    """Show all kinds of content."""
    data = base64.b64encode(PIXEL).decode()
    return [
        TextContent(text="a pixel"),
        ImageContent(data=data, mime_type="image/png"),
        AudioContent(data=data, mime_type="audio/wav"),
        EmbeddedResource(
            resource=TextResourceContents(uri="file:///x/../notes.md", text="to be", mime_type="text/markdown")
        ),
        EmbeddedResource(resource=BlobResourceContents(uri="demo://blobs/7", blob=data)),
        ResourceLink(name="poem", uri="file:///poem.txt"),
    ]


@server.tool()
def spawn() -> str:
    """Start a process in a session of its own, which keeps the streams."""
    return str(subprocess.Popen(["sleep", "600"], start_new_session=True).pid)


@server.tool()
async def learn(ctx: Context) -> str:
    """Offer one tool more and one less."""
    server.add_tool(fail, "unlearn", description="New.")
    server.remove_tool("fail")
    await ctx.notify_tools_changed()
    return "learnt"


if __name__ == "__main__":
    if sys.argv[1] == "http":
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[2]))
    else:
        server.run("stdio")
