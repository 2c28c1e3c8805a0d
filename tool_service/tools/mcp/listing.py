"""What a server lists, as tools of ours."""

import hashlib
import re
from collections.abc import AsyncGenerator, Callable, Collection
from typing import Any

import mcp_types
import structlog
from mcp import ClientSession

from tool_service.interface.effect import Effect
from tool_service.interface.given_schema import Function, tool_from_schema
from tool_service.interface.schema import InvalidToolError
from tool_service.interface.tool import Tool
from tool_service.tools.mcp.settings import McpServerSettings
from tool_service.tools.mcp.text import excerpt

MAX_TOOLS = 128
MAX_PAGES = 64
MAX_LISTING_BYTES = 256 << 10  # of all descriptions and schemas: the whole list of tools must fit into a message
MAX_NAME_CHARS = 64
MAX_DESCRIPTION_CHARS = 4_000
MAX_SCHEMA_TEXT_CHARS = 1_000
HASH_CHARS = 8

log = structlog.get_logger()


async def listed(session: ClientSession) -> AsyncGenerator[mcp_types.Tool, None]:
    """Every tool of a server, page by page."""
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await session.list_tools(params=mcp_types.PaginatedRequestParams(cursor=cursor))
        for tool in page.tools:
            yield tool
        if not page.next_cursor or page.next_cursor == cursor:
            return
        cursor = page.next_cursor


class Catalogue:
    """Makes tools of a server's: `add` each, then read `tools`. What is left out is logged, with the reason."""

    def __init__(self, server: str, settings: McpServerSettings, function: Callable[[str], Function]) -> None:
        self._server = server
        self._settings = settings
        self._function = function
        self._seen: set[str] = set()
        self._bytes = 0
        self.tools: dict[str, Tool] = {}

    @property
    def full(self) -> bool:
        """Whether there is no room for more."""
        return len(self.tools) >= MAX_TOOLS or self._bytes >= MAX_LISTING_BYTES

    def add(self, listed: mcp_types.Tool) -> None:
        """Takes a tool in, unless it is not wanted or cannot be offered."""
        if listed.name in self._seen:
            self._leave_out(listed, "it is listed twice")
        elif not self._settings.only or listed.name in self._settings.only:
            try:
                self._take(listed)
            except InvalidToolError as error:
                self._leave_out(listed, str(error))
        self._seen.add(listed.name)

    def missing(self) -> list[str]:
        """Names in `only` that the server does not have."""
        return [name for name in self._settings.only if name not in self._seen]

    def _take(self, listed: mcp_types.Tool) -> None:
        description = excerpt(
            listed.description or listed.title or f"{listed.name} of {self._server}", MAX_DESCRIPTION_CHARS
        )
        tool = tool_from_schema(
            self._function(listed.name),
            name=offered_name(self._server, listed.name, self.tools),
            description=description,
            schema=_with_plain_texts(listed.input_schema),
            effect=effect_of(listed.annotations, self._settings.trusted),
            timeout=self._settings.timeout_seconds,
            concurrency=self._settings.concurrency,
        )
        self._bytes += len(description) + len(str(tool.signature.json_schema))
        if self._bytes > MAX_LISTING_BYTES:
            raise InvalidToolError(f"the list is longer than {MAX_LISTING_BYTES} bytes")
        self.tools[tool.name] = tool

    def _leave_out(self, listed: mcp_types.Tool, reason: str) -> None:
        log.warning("mcp tool left out", server=self._server, tool=excerpt(listed.name, MAX_NAME_CHARS), reason=reason)


def offered_name(server: str, name: str, taken: Collection[str]) -> str:
    """`SERVER_name`, each character that no tool's name may have replaced by `_`. One that is too long or taken is cut
    and ends in a hash of the server's own name for it."""
    offered = f"{server}_{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}"
    if len(offered) <= MAX_NAME_CHARS and offered not in taken:
        return offered
    digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:HASH_CHARS]
    return f"{offered[: MAX_NAME_CHARS - HASH_CHARS - 1]}_{digest}"


def effect_of(hints: mcp_types.ToolAnnotations | None, trusted: bool) -> Effect:
    """What the tool may do: the worst, unless a trusted server says otherwise."""
    if not trusted or hints is None:
        return Effect.WRITE
    if hints.read_only_hint:
        return Effect.READ
    return Effect.IDEMPOTENT if hints.idempotent_hint else Effect.WRITE


def _with_plain_texts(schema: Any) -> Any:
    """A schema whose titles and descriptions are plain text."""
    if isinstance(schema, list):
        return [_with_plain_texts(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: excerpt(value, MAX_SCHEMA_TEXT_CHARS)
        if key in ("description", "title") and isinstance(value, str)
        else _with_plain_texts(value)
        for key, value in schema.items()
    }
