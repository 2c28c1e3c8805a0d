"""The part of a URL that a connection needs: scheme, host and port, found while the URL is still being written.

`http://good.com` may still become `http://good.com.evil.example` or `http://good.com@evil.example`. A host is complete
when a `/`, `?` or `#` follows it, or when the URL is.
"""

import re
from dataclasses import dataclass

import httpx

from tool_service.execution.render import shortened
from tool_service.tools.http_get.failure import CannotFetch

SCHEMES = {"http": 80, "https": 443}
MAX_ORIGIN_CHARS = 300
MAX_URL_CHARS = 8_192
SHOWN_CHARS = 100

_ORIGIN = re.compile(
    r"(https?)://([^\x00-\x20\x7f/?#@\\%:\[\]<>\"^`{|}]+|\[[0-9a-fA-F:.]+\])(?::(\d{1,5}))?(?=[/?#]|\Z)", re.I
)
_END_OF_HOST = re.compile(r"[/?#@\\\s\x00-\x20]")
_SCHEMES = tuple(f"{scheme}://" for scheme in SCHEMES)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a URL is asked for. `host` is ASCII: a name, an IPv4 address, or an IPv6 address without brackets."""

    scheme: str
    host: str
    port: int

    @property
    def host_header(self) -> str:
        """What is sent as `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == SCHEMES[self.scheme] else f"{host}:{self.port}"


def read_origin(url: str) -> Origin:
    """The origin at the start of a URL; the host must be complete. Raises `CannotFetch`."""
    if not url.lower().startswith(_SCHEMES):
        raise CannotFetch(f"{shortened(url, SHOWN_CHARS)} does not begin with http:// or https://.")
    if "@" in re.split(r"[/?#]", url, maxsplit=3)[2]:
        raise CannotFetch("A user name or password in a URL is not allowed.")
    found = _ORIGIN.match(url)
    if found is None or len(found[0]) > MAX_ORIGIN_CHARS:
        raise CannotFetch(f"{shortened(url, SHOWN_CHARS)} names no host.")
    scheme, port = found[1].lower(), int(found[3] or SCHEMES[found[1].lower()])
    if not 1 <= port <= 65_535:
        raise CannotFetch(f"{port} is no port.")
    try:
        return Origin(scheme, httpx.URL(f"{scheme}://{found[2]}/").raw_host.decode("ascii"), port)
    except httpx.InvalidURL:
        raise CannotFetch(f"{shortened(found[2], SHOWN_CHARS)} is no name of a host.") from None


def read_url(text: str) -> tuple[Origin, httpx.URL]:
    """A whole URL and its origin. Raises `CannotFetch`."""
    origin = read_origin(text)
    try:
        return origin, httpx.URL(text)
    except httpx.InvalidURL as error:
        raise CannotFetch(f"{shortened(text, SHOWN_CHARS)} is no URL: {error}.") from None


class OriginSplitter:
    """Cuts a URL in two: its origin, as soon as that can only be what it is, and the rest.

    What can be no URL to fetch, or is too long, comes out at once, so that it is refused before more is written.
    """

    def __init__(self) -> None:
        self._text = ""
        self._found = False

    def feed(self, text: str) -> list[str]:
        """The origin with the character that ends it, when the new text completes it."""
        self._text += text
        end = len(self._text) if self._found and len(self._text) > MAX_URL_CHARS else 0
        if not self._found:
            end = _origin_end(self._text)
            self._found = end > 0
        unit, self._text = self._text[:end], self._text[end:]
        return [unit] if unit else []

    def close(self) -> list[str]:
        """The rest."""
        return [self._text] if self._text else []


def _origin_end(text: str) -> int:
    """Where the origin ends, its delimiter counted; 0 while it may still grow."""
    start = text.lower()[:8]
    if not any(start.startswith(scheme) or scheme.startswith(start) for scheme in _SCHEMES):
        return len(text)
    _, separator, rest = text.partition("://")
    found = _END_OF_HOST.search(rest)
    if separator and found:
        return len(text) - len(rest) + found.end()
    return len(text) if len(text) > MAX_ORIGIN_CHARS else 0
