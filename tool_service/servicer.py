"""The tool service's gRPC service."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable

from protos.conveyor.tool.v1 import tool_pb2, tool_pb2_grpc
from protos.rpc import context
from protos.rpc.errors import Reason, ServiceError, reject
from protos.rpc.handler import streaming, unary
from protos.rpc.tracing import OFF, Tracer
from protos.schemas.reading import UnenforceableError
from tool_service import wire
from tool_service.call_spans import CallSpans
from tool_service.commands import Commands
from tool_service.execution.events import Event
from tool_service.execution.host import (
    FormatMismatchError,
    Opened,
    Start,
    ToolHost,
    UnknownFormatError,
    UnknownToolError,
)
from tool_service.execution.mailbox import Mailbox
from tool_service.feeds import Feeds
from tool_service.formats import FORMATS
from tool_service.metrics import CallMetrics, Labels, ToolMetrics
from tool_service.observed import Observed
from tool_service.settings import ToolSettings

RETRY_SECONDS = 1.0


class ToolServicer(tool_pb2_grpc.ToolServiceServicer):
    """Serves `conveyor.tool.v1.ToolService`."""

    def __init__(self, host: ToolHost, settings: ToolSettings, metrics: ToolMetrics, tracer: Tracer = OFF) -> None:
        self._host = host
        self._settings = settings
        self._metrics = metrics
        self._tracer = tracer
        self._active = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._feeds = Feeds()
        self._drained = asyncio.Event()

    @streaming
    async def Execute(
        self, requests: AsyncIterator[tool_pb2.ExecuteRequest]
    ) -> AsyncGenerator[tool_pb2.ExecuteResponse, None]:
        """Executes the calls of one completion."""
        self._count(+1)
        try:
            if self._active > self._settings.max_completions:
                raise ServiceError(
                    Reason.OVERLOADED, "as many completions use tools as may", retry_seconds=RETRY_SECONDS
                )
            async with contextlib.aclosing(self._execute(requests)) as responses:
                async for response in responses:
                    yield response
        finally:
            self._count(-1)

    @streaming
    async def Feed(self, requests: AsyncIterator[tool_pb2.FeedRequest]) -> AsyncGenerator[tool_pb2.FeedResponse, None]:
        """Brings text of many completions; ends with a drain, when nobody is left to be fed."""
        first = await anext(aiter(requests), None)
        if first is None or not first.feed or first.texts:
            reject(Reason.PROTOCOL_VIOLATION, "the first message must name the feed, and bring nothing")
        yield tool_pb2.FeedResponse(instance=self._feeds.instance)
        bringing = asyncio.create_task(self._bring(first.feed, requests))
        drained = asyncio.create_task(self._drained.wait())
        try:
            await asyncio.wait((bringing, drained), return_when=asyncio.FIRST_COMPLETED)
            if bringing.done():
                await bringing
        finally:
            for task in (bringing, drained):
                task.cancel()
            await asyncio.gather(bringing, drained, return_exceptions=True)
            self._feeds.lose(first.feed)

    async def _bring(self, feed: str, requests: AsyncIterator[tool_pb2.FeedRequest]) -> None:
        async for request in requests:
            for text in request.texts:
                self._feeds.bring(feed, text.fed_as, text.text)

    async def drain(self) -> None:
        """Ends the feeds, which never end of themselves, once no completion is left."""
        while self._active:
            await self._idle.wait()
        self._drained.set()

    async def idle(self, seconds: float) -> None:
        """Waits until every completion has freed what it held, for a time."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)

    def _count(self, change: int) -> None:
        self._active += change
        self._metrics.completions.set(self._active)
        (self._idle.clear if self._active else self._idle.set)()

    async def _execute(
        self, requests: AsyncIterator[tool_pb2.ExecuteRequest]
    ) -> AsyncGenerator[tool_pb2.ExecuteResponse, None]:
        first = await anext(aiter(requests), None)
        if first is None or first.WhichOneof("command") != "start":
            reject(Reason.PROTOCOL_VIOLATION, "the first command must be start")
        events = Mailbox()
        start = wire.parse_start(first.start, self._settings)
        observed = self._observed(start)

        def emit(event: Event) -> None:
            observed.observe(event)
            events.put(event)

        opened = self._open(start, emit, events, observed.traceparent)
        commands = Commands(opened.runner, events.put)
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(observed.close)
            stack.push_async_callback(opened.runner.aclose)
            self._feed_to(commands, first.start, stack)
            obeying = asyncio.create_task(_obey(commands, observed, requests))
            obeying.add_done_callback(lambda _: events.put(None))
            try:
                yield wire.started(opened, self._feeds.instance)
                while (event := await events.get()) is not None:
                    if isinstance(event, Exception):
                        raise event
                    yield wire.event_message(event)
                await obeying
            finally:
                obeying.cancel()
                await asyncio.gather(obeying, return_exceptions=True)

    def _feed_to(self, commands: Commands, start: tool_pb2.Start, stack: contextlib.AsyncExitStack) -> None:
        """Has a feed bring text for as long as the stack is open."""
        try:
            stack.enter_context(self._feeds.taking(start.feed, start.fed_as, commands))
        except ValueError as error:
            raise ServiceError(Reason.PROTOCOL_VIOLATION, str(error)) from error

    def _observed(self, start: Start) -> Observed:
        labels = Labels({*start.tools, *self._host.tools}, {function.name for function in start.functions})
        mode = start.mode.value
        metrics = CallMetrics(self._metrics, mode, labels)
        parent = context.current().traceparent
        spans = CallSpans(self._tracer, parent, mode, labels) if self._tracer.keeps else None
        return Observed(metrics, spans, parent)

    def _open(
        self, start: Start, emit: Callable[[Event], None], events: Mailbox, traceparent: Callable[[str], str | None]
    ) -> Opened:
        try:
            return self._host.open(start, emit, events, traceparent)
        except UnknownFormatError as error:
            raise ServiceError(Reason.UNKNOWN_FORMAT, str(error), field="format") from error
        except UnknownToolError as error:
            raise ServiceError(Reason.UNKNOWN_TOOL, str(error), field="tools") from error
        except FormatMismatchError as error:
            raise ServiceError(Reason.INVALID_TOOL_USE, str(error), field="tools") from error
        except UnenforceableError as error:
            named = (place for place, function in enumerate(start.functions) if function.name == error.tool)
            field = next((f"functions[{place}].parameters_json_schema" for place in named), "")
            raise ServiceError(Reason.INVALID_SCHEMA, f"no grammar can require a call: {error}", field=field) from error

    @unary
    async def ListTools(self, request: tool_pb2.ListToolsRequest) -> tool_pb2.ListToolsResponse:
        """Lists tools and formats."""
        return tool_pb2.ListToolsResponse(
            tools=[wire.tool_message(tool) for _, tool in sorted(self._host.tools.items())],
            formats=[
                wire.format_message(format_, self._host.calls_others(format_)) for _, format_ in sorted(FORMATS.items())
            ],
        )


async def _obey(commands: Commands, observed: Observed, requests: AsyncIterator[tool_pb2.ExecuteRequest]) -> None:
    """Carries out the commands after `start`, until the caller has no more."""
    try:
        async for request in requests:
            match request.WhichOneof("command"):
                case "decide":
                    commands.decide(request.decide.call_id, request.decide.approved, request.decide.reason)
                case "text_delta":
                    commands.text(request.text_delta.text)
                case "turn_end":
                    observed.turn_decoded()
                    commands.end_turn(wire.parse_end(request.turn_end), request.turn_end.text_length)
                case other:
                    reject(Reason.PROTOCOL_VIOLATION, f"command {other} is not expected here")
        await commands.finished()
    finally:
        await commands.aclose()
