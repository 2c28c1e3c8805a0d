"""Speaks with a server over streamable HTTP: the SDK's transport, with bounds on what a server may send."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx2
from mcp.client.streamable_http import streamable_http_client

from tool_service.tools.mcp.link import MAX_MESSAGE_BYTES
from tool_service.tools.mcp.settings import McpServerSettings

CONNECT_SECONDS = 10.0
READ_MARGIN_SECONDS = 10.0  # beyond a call's timeout, after which nobody waits for its answer
LEAVE_SECONDS = 2.0  # for a server to hear that the session is over


@contextlib.asynccontextmanager
async def http_transport(settings: McpServerSettings) -> AsyncIterator[Any]:
    """The two streams of a session."""
    timeout = httpx2.Timeout(CONNECT_SECONDS, read=settings.timeout_seconds + READ_MARGIN_SECONDS)
    transport = _Bounded(httpx2.AsyncHTTPTransport())
    async with (
        httpx2.AsyncClient(headers=settings.headers, timeout=timeout, transport=transport) as client,
        streamable_http_client(settings.url, http_client=client, max_sse_event_size=MAX_MESSAGE_BYTES) as streams,
    ):
        yield streams


class ResponseTooLongError(httpx2.StreamError):
    """A server's answer is longer than a message may be."""

    def __init__(self) -> None:
        super().__init__(f"the answer is longer than {MAX_MESSAGE_BYTES} bytes")


class _Bounded(httpx2.AsyncBaseTransport):
    """Cuts responses off. A stream of events has no end, and the SDK bounds each event: it is let through."""

    def __init__(self, transport: httpx2.AsyncBaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":  # the stream of what a server says unasked, which may be silent for hours
            request.extensions["timeout"] = {**request.extensions.get("timeout", {}), "read": None}
        request.headers["accept-encoding"] = "identity"  # what is packed has no bound
        if request.method == "DELETE":  # the session's end, which the SDK waits for when it has been cancelled, too
            return await self._leave(request)
        return await self._ask(request)

    async def _leave(self, request: httpx2.Request) -> httpx2.Response:
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                response = await self._ask(request)
                await response.aread()
        except TimeoutError:
            raise httpx2.ReadTimeout("the server does not answer that the session is over") from None
        return response

    async def _ask(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._transport.handle_async_request(request)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            await response.aclose()
            raise httpx2.RemoteProtocolError("the server packs its answers, though it was asked not to")
        if not response.headers.get("content-type", "").lower().startswith("text/event-stream"):
            response.stream = _BoundedStream(response.stream)
        return response

    async def aclose(self) -> None:
        await self._transport.aclose()


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MAX_MESSAGE_BYTES
        async for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                raise ResponseTooLongError
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
