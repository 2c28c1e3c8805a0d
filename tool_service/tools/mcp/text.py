"""Text that a server wrote about itself, made fit for a prompt and a log."""

from tool_service.execution.render import shortened
from tool_service.tools.plain_text import plain


def excerpt(text: str, limit: int) -> str:
    """The text without what cannot be seen, at most `limit` characters of it."""
    return shortened(plain(text).strip(), limit)
