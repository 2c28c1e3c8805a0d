"""The body of an answer, unpacked within a limit."""

import zlib
from collections.abc import AsyncIterable

from tool_service.tools.http_get.failure import CannotFetch

ACCEPTED = "gzip, deflate"


async def read_body(chunks: AsyncIterable[bytes], encoding: str, limit: int) -> tuple[bytes, bool]:
    """At most `limit` bytes of a body, and whether that is less than all of it.

    `encoding` is Content-Encoding. Neither what arrives nor what it unpacks to is read beyond the limit. Raises
    `CannotFetch`.
    """
    unpack = _unpacker(encoding)
    body, received = bytearray(), 0
    async for chunk in chunks:
        received += len(chunk)
        body += unpack(chunk, limit + 1 - len(body))
        if len(body) > limit or received > limit:
            return bytes(body[:limit]), True
    return bytes(body), False


class _Plain:
    def __call__(self, data: bytes, room: int) -> bytes:
        return data[:room]


class _Inflate:
    """gzip, zlib, and deflate without a header, which some servers mean by `deflate`."""

    def __init__(self, window_bits: int) -> None:
        self._inflate = zlib.decompressobj(window_bits)
        self._begun = False

    def __call__(self, data: bytes, room: int) -> bytes:
        try:
            out = self._inflate.decompress(data, room)
        except zlib.error:
            if self._begun:
                raise CannotFetch("The page is packed in a broken way.") from None
            self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
            self._begun = True
            return self(data, room)
        self._begun = True
        return out


def _unpacker(encoding: str) -> _Plain | _Inflate:
    match encoding.strip().lower():
        case "" | "identity":
            return _Plain()
        case "gzip" | "x-gzip" | "deflate":
            return _Inflate(zlib.MAX_WBITS | 32)
    raise CannotFetch(f"The page is packed as {encoding[:40]!r}, which was not asked for.")
