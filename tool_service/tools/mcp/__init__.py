"""Tools of MCP servers (https://modelcontextprotocol.io)."""
