"""Fetches a page: connected when the host of its URL is known, asked for when the URL is.

async with web.visit() as visit:
    await visit.add("https://example.org/")  # resolves, connects, agrees on TLS
    await visit.add("wiki/Fish")
    page = await visit.page()                # asks, and follows redirects; each goes to a judged address
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from http import HTTPStatus

import httpcore
import httpx

from tool_service.interface import Reject
from tool_service.tools.http_get import body
from tool_service.tools.http_get.addresses import is_public
from tool_service.tools.http_get.dialing import Connection, Dialer
from tool_service.tools.http_get.failure import CannotFetch
from tool_service.tools.http_get.origin import MAX_URL_CHARS, Origin, read_origin, read_url
from tool_service.tools.http_get.page import HTML, Page, is_text, media_type
from tool_service.tools.http_get.reading import Reader
from tool_service.tools.http_get.settings import HttpGetSettings

REDIRECTS = (301, 302, 303, 307, 308)
ACCEPT = "text/html, application/xhtml+xml, application/json;q=0.9, text/*;q=0.9, */*;q=0.5"


class Web:
    """What can be fetched from, under which limits. `dialer`: by default one that goes by `allow_private`."""

    def __init__(self, settings: HttpGetSettings, dialer: Dialer | None = None) -> None:
        self.settings = settings
        self.dialer = dialer or Dialer((lambda address: True) if settings.allow_private else is_public)

    @contextlib.asynccontextmanager
    async def visit(self) -> "AsyncIterator[Visit]":
        """A visit to one page; whatever is still open at its end is closed."""
        visit = Visit(self)
        try:
            yield visit
        finally:
            await visit.aclose()

    async def get(self, url: str) -> Page:
        """The page of a whole URL. Raises `CannotFetch`."""
        async with self.visit() as visit:
            return await visit.get(url)


class Visit:
    """One page on its way."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._url = ""
        self._connection: Connection | None = None
        self._reader = Reader()

    async def add(self, part: str) -> None:
        """Takes the next part of the URL; the first has all of its origin. Raises `Reject` where no more part helps."""
        first, self._url = not self._url, self._url + part
        try:
            if len(self._url) > MAX_URL_CHARS:
                raise CannotFetch(f"The URL is longer than {MAX_URL_CHARS} characters.")
            if first:
                origin = read_origin(self._url)
                self._reader.start()  # it will be ready when the page is
                await self._connect(origin)
        except CannotFetch as error:
            raise Reject(str(error)) from None

    async def page(self) -> Page:
        """The page of the URL that was added. Raises `CannotFetch`."""
        return await self.get(self._url)

    async def get(self, url: str) -> Page:
        """The page of a URL, over the connection that is there if it leads to the same origin. Raises `CannotFetch`."""
        settings = self._web.settings
        try:
            async with asyncio.timeout(settings.timeout_seconds):
                return await self._follow(url)
        except TimeoutError:
            raise CannotFetch(f"{self._url or url} was not there within {settings.timeout_seconds:g} s.") from None
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ConnectionNotAvailable):
            raise CannotFetch("The connection broke off.") from None
        except (httpcore.ProtocolError, httpx.InvalidURL):
            raise CannotFetch("The server did not answer as HTTP wants it.") from None

    async def text(self, page: Page, *, raw: bool) -> str:
        """What a model reads of a page: its text, or with `raw` its source. Raises `CannotFetch`."""
        return await self._reader.text(page, raw=raw)

    async def aclose(self) -> None:
        """Closes the connection and ends the reader's process."""
        try:
            await self._hang_up()
        finally:
            await self._reader.aclose()

    async def _follow(self, text: str) -> Page:
        for _ in range(self._web.settings.max_redirects + 1):
            origin, url = read_url(text)
            response = await self._answer(origin, url)
            try:
                fields = httpx.Headers(response.headers)
                if response.status not in REDIRECTS or "location" not in fields:
                    return await self._read(str(url), response, fields)
            finally:
                await response.aclose()
            text = str(url.join(fields["location"]))
        raise CannotFetch(f"The page led on to another address more than {self._web.settings.max_redirects} times.")

    async def _answer(self, origin: Origin, url: httpx.URL) -> httpcore.Response:
        """Asks once. A connection that stood open while the URL was being written may have been closed since."""
        headers = {"User-Agent": self._web.settings.user_agent, "Accept": ACCEPT, "Accept-Encoding": body.ACCEPTED}
        standing = self._connection
        if standing is not None and standing.origin == origin and standing.is_usable:
            with contextlib.suppress(httpcore.NetworkError, httpcore.ProtocolError, httpcore.ConnectionNotAvailable):
                response = await standing.get(url, headers)
                if response.status != HTTPStatus.REQUEST_TIMEOUT:  # said before the request was there
                    return response
                await response.aclose()
        return await (await self._connect(origin)).get(url, headers)

    async def _connect(self, origin: Origin) -> Connection:
        await self._hang_up()
        self._connection = await self._web.dialer.dial(origin)
        return self._connection

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.aclose()

    async def _read(self, url: str, response: httpcore.Response, fields: httpx.Headers) -> Page:
        if not 200 <= response.status < 300:
            raise CannotFetch(f"{url} was answered with {_status(response.status)}.")
        content_type = fields.get("content-type", "")
        kind = media_type(content_type)
        if not is_text(kind) and kind not in HTML:
            return Page(url, content_type, b"", cut=False, size=fields.get("content-length", "")[:20])
        content = await body.read_body(
            response.aiter_stream(), fields.get("content-encoding", ""), self._web.settings.max_bytes
        )
        return Page(url, content_type, *content)


def _status(code: int) -> str:
    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        return str(code)
