"""One MCP server: started, listed, called, and started again when it dies.

    starting ─▶ up ─▶ away ─(back-off)─▶ starting
        └── cannot start ─▲

A task of its own holds the connection, because the SDK's contexts are left in the task that entered them. Calls use the
session from their own tasks, as the SDK allows. While the server is away its tools stay offered; a call waits a moment
for it to come back.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import mcp_types
import structlog
from mcp import Client, ClientSession, MCPError
from mcp.client import IncomingMessage
from mcp.client.subscriptions import SubscriptionLost
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from opentelemetry import context as otel_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from pydantic import TypeAdapter, ValidationError

from tool_service.interface.artifact import Artifact
from tool_service.interface.call import Call
from tool_service.interface.given_schema import Function
from tool_service.interface.reject import ToolError
from tool_service.interface.tool import Tool
from tool_service.tools.mcp.backoff import Backoff
from tool_service.tools.mcp.child import child_transport
from tool_service.tools.mcp.content import pieces, text_of
from tool_service.tools.mcp.http import http_transport
from tool_service.tools.mcp.link import Inbound, Link
from tool_service.tools.mcp.listing import MAX_TOOLS, Catalogue, listed
from tool_service.tools.mcp.progress import Progress
from tool_service.tools.mcp.settings import McpServerSettings
from tool_service.tools.mcp.text import excerpt

OUTAGE_SECONDS = 3.0  # that a call waits for a server that is away
STABLE_SECONDS = 60.0  # after which trouble is new trouble
RELIST_SECONDS = 0.5  # between two listings
RELISTEN_SECONDS = 5.0
MAX_ERROR_CHARS = 4_000
MAX_CAUSE_CHARS = 500
IDEMPOTENCY_KEY = "conveyor/idempotency-key"  # in `_meta`; MCP has no word for it
CLIENT = mcp_types.Implementation(name="conveyor", version="0.1.0")

_RESULT: TypeAdapter[mcp_types.CallToolResult | mcp_types.InputRequiredResult] = TypeAdapter(
    mcp_types.CallToolResult | mcp_types.InputRequiredResult
)
log = structlog.get_logger()


class McpError(ToolError):
    """A call of a server's tool failed; the message is for the model."""


class McpServer:
    """One server. `run` is its life, until `leave`; it never returns on its own."""

    def __init__(
        self,
        name: str,
        settings: McpServerSettings,
        offer: Callable[[Tool], None],
        withdraw: Callable[[str], None],
        backoff: Backoff,
    ) -> None:
        self.tried = asyncio.Event()  # set once it is up, or could not be started
        self._name = name
        self._settings = settings
        self._offer = offer
        self._withdraw = withdraw
        self._backoff = backoff
        self._offered: set[str] = set()
        self._session: ClientSession | None = None
        self._up = asyncio.Event()
        self._link = Link()
        self._requests: set[asyncio.Task[Any]] = set()
        self._leaving = False

    async def run(self) -> None:
        """Keeps the server up until it is cancelled."""
        try:
            while True:
                cause = await self._live()
                if self._leaving:
                    return
                delay = self._backoff.delay()
                log.warning("mcp server away", server=self._name, cause=cause, retry_seconds=round(delay, 1))
                self.tried.set()
                await asyncio.sleep(delay)
        finally:
            self.tried.set()
            await asyncio.gather(*self._requests, return_exceptions=True)

    def leave(self) -> None:
        """The server is not started again. To be said before `run` is cancelled: where a connection breaks while it is
        being closed, the SDK's task group raises that instead of the cancellation."""
        self._leaving = True

    async def call(self, tool: str, arguments: dict[str, Any], call: Call) -> AsyncGenerator[str | Artifact, None]:
        """Calls a tool; yields its progress, then its result. The call's key and trace go along for servers that know
        what to do with them. Raises McpError."""
        session = await self._session_soon()
        progress = Progress()
        params = mcp_types.CallToolRequestParams(name=tool, arguments=arguments, _meta={IDEMPOTENCY_KEY: call.key})
        request = asyncio.create_task(_request(session, params, progress, call.traceparent))
        self._requests.add(request)
        request.add_done_callback(self._requests.discard)
        try:
            async for line in progress.until(request):
                yield line
            result = self._result(request)
        finally:
            request.cancel()  # where it still runs, the SDK tells the server; nobody need wait for that
        if result.is_error:
            raise McpError(excerpt(text_of(result), MAX_ERROR_CHARS) or "the tool failed and did not say why")
        for piece in pieces(result):
            yield piece

    def _result(self, request: asyncio.Task[Any]) -> mcp_types.CallToolResult:
        try:
            result = request.result()
        except MCPError as error:
            raise McpError(self._explain(error)) from None
        except ValidationError:
            raise McpError(f"the MCP server {self._name!r} answered with what is no result of a tool") from None
        if not isinstance(result, mcp_types.CallToolResult):
            raise McpError(f"the tool asks for more input, which the MCP server {self._name!r} cannot get here")
        return result

    def _explain(self, error: MCPError) -> str:
        if error.code == mcp_types.CONNECTION_CLOSED and error.message == "Connection closed":  # the SDK's own
            return f"the MCP server {self._name!r} ended while the call ran; what the call did is not known"
        if error.message == "Session terminated":  # the SDK's words for a server that has forgotten us
            self._link.end("it has forgotten the session")
            return f"the MCP server {self._name!r} was started anew and did not run the call; try again"
        return excerpt(error.message, MAX_ERROR_CHARS) or f"error {error.code}"

    async def _session_soon(self) -> ClientSession:
        if self._link.ended.is_set():
            self._forget()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(OUTAGE_SECONDS):
                await self._up.wait()
        if self._session is None:
            raise McpError(f"the MCP server {self._name!r} is away; it is being started again, try later")
        return self._session

    async def _live(self) -> str:
        """One connection, from its start to its end; why it ended."""
        loop = asyncio.get_running_loop()
        link = self._link = Link()
        up_since = None
        try:
            async with contextlib.AsyncExitStack() as stack:
                async with asyncio.timeout(self._settings.start_seconds):
                    client = await stack.enter_async_context(self._client(link))
                    stack.callback(self._forget)
                    await self._list(client.session)
                up_since = loop.time()
                self._session = client.session
                self._up.set()
                self.tried.set()
                await stack.enter_async_context(_listening(client, link))
                await self._serve(client.session, link)
            cause = link.cause
        except Exception as error:
            late = isinstance(_innermost(error), TimeoutError) and up_since is None
            cause = f"it did not start within {self._settings.start_seconds:g} s" if late else _describe(error)
            cause = link.cause or cause
        if up_since is not None and loop.time() - up_since > STABLE_SECONDS:
            self._backoff.reset()
        return excerpt(cause, MAX_CAUSE_CHARS) or "it closed the connection"

    def _forget(self) -> None:
        self._session = None
        self._up.clear()

    def _client(self, link: Link) -> Client:
        async def hear(message: IncomingMessage) -> None:
            if isinstance(message, mcp_types.ToolListChangedNotification):
                link.change()

        return Client(self._transport(link), message_handler=hear, client_info=CLIENT, cache=None)

    @contextlib.asynccontextmanager
    async def _transport(self, link: Link) -> AsyncIterator[Any]:
        settings = self._settings
        opened = http_transport(settings) if settings.url else child_transport(self._name, settings, link)
        async with opened as (inbound, outbound):
            yield Inbound(inbound, link), outbound

    async def _serve(self, session: ClientSession, link: Link) -> None:
        """Lists anew when the list has changed, until the connection ends."""
        while not link.ended.is_set():
            await link.news.wait()
            link.news.clear()
            if link.changed and not link.ended.is_set():
                link.changed = False
                await self._list_again(session)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RELIST_SECONDS):
                        await link.ended.wait()

    async def _list_again(self, session: ClientSession) -> None:
        try:
            async with asyncio.timeout(self._settings.start_seconds):
                await self._list(session)
        except (TimeoutError, MCPError, ValidationError) as error:
            log.warning("mcp server does not list its tools anew", server=self._name, cause=_describe(error))

    async def _list(self, session: ClientSession) -> None:
        catalogue = Catalogue(self._name, self._settings, self._function)
        async with contextlib.aclosing(listed(session)) as tools:
            async for tool in tools:
                if catalogue.full:
                    log.warning("mcp tools left out", server=self._name, reason=f"at most {MAX_TOOLS} are offered")
                    break
                catalogue.add(tool)
                await asyncio.sleep(0)  # a long list must not hold others up
        for name in catalogue.missing():
            log.warning("mcp tool missing", server=self._name, tool=name, reason="`only` names it")
        self._replace(catalogue.tools)

    def _replace(self, tools: dict[str, Tool]) -> None:
        for name in self._offered - tools.keys():
            self._withdraw(name)
        self._offered &= tools.keys()
        for name, tool in tools.items():
            try:
                self._offer(tool)
                self._offered.add(name)
            except ValueError as error:  # another source has a tool of this name
                log.warning("mcp tool left out", server=self._name, tool=name, reason=str(error))
        log.info("mcp server listed", server=self._name, tools=len(self._offered))

    def _function(self, tool: str) -> Function:
        return lambda arguments, call: self.call(tool, arguments, call)


async def _request(
    session: ClientSession, params: mcp_types.CallToolRequestParams, progress: Progress, traceparent: str | None
) -> mcp_types.CallToolResult | mcp_types.InputRequiredResult:
    """Not `Client.call_tool`: that checks results against the server's schema for them, whose patterns may take for
    ever.

    In a task of its own: `traceparent` is the running span there, of which the SDK tells the server in `_meta`
    (https://modelcontextprotocol.io/seps/414-request-meta).
    """
    if traceparent is not None:
        otel_context.attach(TraceContextTextMapPropagator().extract({"traceparent": traceparent}))
    request = mcp_types.CallToolRequest(params=params)
    return await session.send_request(request, _RESULT, progress_callback=progress.hear)


@contextlib.asynccontextmanager
async def _listening(client: Client, link: Link) -> AsyncIterator[None]:
    """Hears of changed lists; since 2026-07-28 a server tells of them only to those who ask."""
    tools = client.server_capabilities.tools
    if client.protocol_version not in MODERN_PROTOCOL_VERSIONS or not (tools and tools.list_changed):
        yield
        return
    task = asyncio.create_task(_listen(client, link))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _listen(client: Client, link: Link) -> None:
    while True:
        with contextlib.suppress(SubscriptionLost):
            async with client.listen(tools_list_changed=True) as changes:
                async for _ in changes:
                    link.change()
        await asyncio.sleep(RELISTEN_SECONDS)
        link.change()  # nobody told of what changed meanwhile


def _innermost(error: BaseException) -> BaseException:
    """What task groups have wrapped."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _describe(error: BaseException) -> str:
    """What went wrong, in a line without anything that the server sent where it should not."""
    error = _innermost(error)
    if isinstance(error, ValidationError):
        return "it answered with what is no MCP"
    if isinstance(error, MCPError):
        return error.message
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
