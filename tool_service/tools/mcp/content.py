"""What a call gave, as output of a tool: text for the model, artifacts for the client."""

import base64
import binascii
import re
from collections.abc import Iterator

import mcp_types
import pydantic_core

from tool_service.interface.artifact import Artifact
from tool_service.tools.mcp.text import excerpt

MAX_NAME_CHARS = 64
MAX_LINK_CHARS = 500
UNKNOWN_TYPE = "application/octet-stream"

_EXTENSIONS = {  # of the types that servers give; the machine's own table differs from one to the other
    "application/gzip": ".gz",
    "application/json": ".json",
    "application/pdf": ".pdf",
    "application/zip": ".zip",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "audio/wav": ".wav",
    "image/gif": ".gif",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/svg+xml": ".svg",
    "image/webp": ".webp",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/markdown": ".md",
    "text/plain": ".txt",
}
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}/[a-z0-9][a-z0-9.+-]{0,63}")
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,8}")


def pieces(result: mcp_types.CallToolResult) -> Iterator[str | Artifact]:
    """The content of a result in its order, or its structured content where that is all there is."""
    if not result.content and result.structured_content is not None:
        yield pydantic_core.to_json(result.structured_content).decode()
    for number, block in enumerate(result.content, 1):
        last = number == len(result.content)
        for piece in _pieces(block, number):
            yield piece if last or isinstance(piece, Artifact) or piece.endswith("\n") else f"{piece}\n"


def text_of(result: mcp_types.CallToolResult) -> str:
    """The text of a result, for an error."""
    return "".join(piece for piece in pieces(result) if isinstance(piece, str)).strip()


def _pieces(block: mcp_types.ContentBlock, number: int) -> Iterator[str | Artifact]:
    match block:
        case mcp_types.TextContent():
            yield block.text
        case mcp_types.ImageContent() | mcp_types.AudioContent():
            yield _artifact(f"{block.type}-{number}", block.mime_type, block.data)
        case mcp_types.ResourceLink():
            yield excerpt(f"[{block.name}: {block.uri}]", MAX_LINK_CHARS)
        case mcp_types.EmbeddedResource(resource=mcp_types.TextResourceContents() as resource):
            yield resource.text  # it is meant to be read; the client gets it as a file, too
            yield _file(_name(str(resource.uri), number), resource.mime_type or "text/plain", resource.text.encode())
        case mcp_types.EmbeddedResource(resource=mcp_types.BlobResourceContents() as resource):
            yield _artifact(_name(str(resource.uri), number), resource.mime_type or UNKNOWN_TYPE, resource.blob)


def _artifact(name: str, media_type: str, data: str) -> str | Artifact:
    try:
        return _file(name, media_type, base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError):
        return f"[{name} left out: it is not valid base64]"


def _file(name: str, media_type: str, data: bytes) -> Artifact:
    media_type = media_type.partition(";")[0].strip().lower()
    media_type = media_type if _MEDIA_TYPE.fullmatch(media_type) else UNKNOWN_TYPE
    extension = "" if _EXTENSION.search(name) else _EXTENSIONS.get(media_type, "")
    return Artifact(f"{name}{extension}", media_type, data)


def _name(uri: str, number: int) -> str:
    """A file's name, from the end of its address; numbered, so that it is the only one of its call."""
    end = re.split(r"[/?#]", uri.rstrip("/"))[-1]
    return f"{number}-{re.sub(r'[^A-Za-z0-9_.-]', '_', end).strip('.')[-MAX_NAME_CHARS:] or 'resource'}"
