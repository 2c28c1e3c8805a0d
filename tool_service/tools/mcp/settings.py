"""What can be told of MCP servers."""

from pydantic import BaseModel, ConfigDict, Field


class McpServerSettings(BaseModel):
    """Settings of one server: `[tools.mcp.NAME]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: list[str] = Field([], description="starts the server, which then speaks on its standard streams")
    url: str = Field("", description="where the server speaks streamable HTTP")
    trusted: bool = Field(False, description="believe what the server says of its tools' effects")
