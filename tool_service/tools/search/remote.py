"""A search engine on the web, or one's own: whatever answers `GET url?q=…&format=json` as SearXNG does.

The answer is an object with a list `results` of objects with `title`, `url` and `content`; all else in it is ignored.
The connection is HTTP/2 where the server has it, and is made by a request without a query, before the query is known.
A site is a host: the wide search is narrowed down to it, and where nothing is left, `site:HOST` is searched for.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pydantic_core

from tool_service.execution.render import shortened
from tool_service.tools.plain_text import plain_line
from tool_service.tools.search.engine import WIDEST, Hit, SearchError

MAX_ANSWER_BYTES = 2 << 20
MAX_TITLE_CHARS = 200
MAX_SNIPPET_CHARS = 500
MAX_ADDRESS_CHARS = 2_000
WARM_SECONDS = 15.0  # a connection that was idle for longer is tried before it is relied on
IDLE_SECONDS = 60.0
ATTEMPTS = 2  # a server may close an idle connection in the moment it is used again

_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]")
_SAFE_TO_REPEAT = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)


@contextlib.asynccontextmanager
async def remote_engine(url: str, timeout_seconds: float) -> AsyncIterator["RemoteEngine"]:
    """An engine with connections of its own, which are closed with the block."""
    async with httpx.AsyncClient(
        http2=True,
        timeout=timeout_seconds,
        limits=httpx.Limits(keepalive_expiry=IDLE_SECONDS),
        # no compression: a small answer must not become a large one
        headers={"User-Agent": "conveyor", "Accept": "application/json", "Accept-Encoding": "identity"},
    ) as client:
        yield RemoteEngine(client, url, timeout_seconds)


class RemoteEngine:
    """The engine at `url`. An exchange with it takes `timeout_seconds` at most."""

    def __init__(self, client: httpx.AsyncClient, url: str, timeout_seconds: float) -> None:
        self._client = client
        self._url = httpx.URL(url)
        self._timeout_seconds = timeout_seconds
        self._warm_until = 0.0

    async def open(self) -> None:
        """Has a connection that is alive. Raises `SearchError`."""
        if time.monotonic() > self._warm_until:
            await self._exchange("OPTIONS", self._url)  # whatever the answer: it came

    async def search(self, query: str, limit: int, site: str = "") -> list[Hit]:
        """At most `limit` results, in the order of the answer. Raises `SearchError`."""
        query = query.encode("utf-8", "replace").decode()
        if not query.strip():
            return []
        narrowed = f"{query} site:{_host(site)}" if site.strip() else query
        url = self._url.copy_merge_params({"q": narrowed, "format": "json"})
        status, body = await self._exchange("GET", url)
        if status != httpx.codes.OK:
            hint = "; is its format json switched on?" if status == httpx.codes.FORBIDDEN else ""
            raise SearchError(f"{self._url.host} answered with status {status}{hint}")
        hits = _hits(body, self._url.host)
        return [hit for hit in hits if self.covers(site, hit)][:limit]

    def covers(self, site: str, hit: Hit) -> bool:
        """Whether the hit is on this host or one below it. Raises `SearchError` for what is no host."""
        if not site.strip():
            return True
        host, wanted = urlsplit(hit.source).hostname or "", _host(site)
        return host == wanted or host.endswith(f".{wanted}")

    async def aclose(self) -> None:
        """Nothing: the connections go with the client."""

    async def _exchange(self, method: str, url: httpx.URL) -> tuple[int, bytes]:
        """Status and body of an answer."""
        host = self._url.host
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._persistent(method, url)
        except (TimeoutError, httpx.TimeoutException):
            raise SearchError(f"{host} did not answer within {self._timeout_seconds:g} s") from None
        except httpx.ConnectError as error:
            raise SearchError(f"{host} cannot be reached: {error or 'no connection'}") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SearchError(f"{host} broke the connection off ({type(error).__name__})") from None

    async def _persistent(self, method: str, url: httpx.URL) -> tuple[int, bytes]:
        for _ in range(ATTEMPTS - 1):
            with contextlib.suppress(*_SAFE_TO_REPEAT):
                return await self._once(method, url)
        return await self._once(method, url)

    async def _once(self, method: str, url: httpx.URL) -> tuple[int, bytes]:
        async with self._client.stream(method, url) as response:
            if response.headers.get("content-encoding", "identity") != "identity":
                raise SearchError(f"{self._url.host} sent a compressed answer, which was not asked for")
            body = bytearray()
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > MAX_ANSWER_BYTES:
                    raise SearchError(f"{self._url.host} sent more than {MAX_ANSWER_BYTES >> 20} MiB")
        self._warm_until = time.monotonic() + WARM_SECONDS
        return response.status_code, bytes(body)


def _host(site: str) -> str:
    """The host that a model meant, which may have written an address."""
    text = site.strip().lower().removeprefix("site:")
    with contextlib.suppress(ValueError):
        host = urlsplit(text if "//" in text else f"//{text}").hostname or ""
        if _HOST.fullmatch(host):
            return host.removeprefix("www.")
    raise SearchError("site must be a host, such as docs.python.org")


def _hits(body: bytes, host: str) -> list[Hit]:
    """The results of an answer that can be shown, at most `WIDEST`."""
    try:
        answer = pydantic_core.from_json(body)
    except ValueError:
        raise SearchError(f"{host} did not answer in JSON") from None
    results = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(results, list):
        raise SearchError(f"{host} answered in JSON, but without a list of results")
    return [hit for hit in map(_hit, results) if hit is not None][:WIDEST]


def _hit(result: Any) -> Hit | None:
    if not isinstance(result, dict) or not _is_address(url := result.get("url")):
        return None
    title, content = (value if isinstance(value, str) else "" for value in (result.get("title"), result.get("content")))
    return Hit(
        str(url), shortened(plain_line(title), MAX_TITLE_CHARS), shortened(plain_line(content), MAX_SNIPPET_CHARS)
    )


def _is_address(url: Any) -> bool:
    """Whether it is a clean address on the web."""
    if not isinstance(url, str) or len(url) > MAX_ADDRESS_CHARS or plain_line(url) != url:
        return False
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    return False
