"""How fetching fails."""

from tool_service.interface import ToolError


class CannotFetch(ToolError):
    """There is no page; the text says why, in a sentence for the model."""
