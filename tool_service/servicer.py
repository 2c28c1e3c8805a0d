"""The tool service's gRPC service."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable

from protos.conveyor.tool.v1 import tool_pb2, tool_pb2_grpc
from protos.rpc.errors import Reason, ServiceError, reject
from protos.rpc.handler import streaming, unary
from protos.schemas.reading import UnenforceableError
from tool_service import wire
from tool_service.execution.events import Event
from tool_service.execution.host import FormatMismatchError, Opened, ToolHost, UnknownFormatError, UnknownToolError
from tool_service.execution.runner import Runner
from tool_service.formats import FORMATS
from tool_service.metrics import COMPLETIONS, ToolMetrics
from tool_service.settings import ToolSettings

RETRY_SECONDS = 1.0


class ToolServicer(tool_pb2_grpc.ToolServiceServicer):
    """Serves `conveyor.tool.v1.ToolService`."""

    def __init__(self, host: ToolHost, settings: ToolSettings) -> None:
        self._host = host
        self._settings = settings
        self._active = 0
        self._idle = asyncio.Event()
        self._idle.set()

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

    async def idle(self, seconds: float) -> None:
        """Waits until every completion has freed what it held, for a time."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)

    def _count(self, change: int) -> None:
        self._active += change
        COMPLETIONS.set(self._active)
        (self._idle.clear if self._active else self._idle.set)()

    async def _execute(
        self, requests: AsyncIterator[tool_pb2.ExecuteRequest]
    ) -> AsyncGenerator[tool_pb2.ExecuteResponse, None]:
        events: asyncio.Queue[Event | Exception | None] = asyncio.Queue()
        metrics = ToolMetrics()
        opened = await self._open(requests, events)
        commands = asyncio.create_task(_obey(opened.runner, requests, events.put_nowait))
        commands.add_done_callback(lambda _: events.put_nowait(None))
        try:
            yield wire.started(opened)
            while (event := await events.get()) is not None:
                if isinstance(event, Exception):
                    raise event
                metrics.observe(event)
                yield wire.event_message(event)
            await commands
        finally:
            commands.cancel()
            await asyncio.gather(commands, return_exceptions=True)
            await opened.runner.aclose()

    async def _open(
        self, requests: AsyncIterator[tool_pb2.ExecuteRequest], events: asyncio.Queue[Event | Exception | None]
    ) -> Opened:
        first = await anext(aiter(requests), None)
        if first is None or first.WhichOneof("command") != "start":
            reject(Reason.PROTOCOL_VIOLATION, "the first command must be start")
        try:
            return self._host.open(wire.parse_start(first.start, self._settings), events.put_nowait)
        except UnknownFormatError as error:
            raise ServiceError(Reason.UNKNOWN_FORMAT, str(error)) from error
        except UnknownToolError as error:
            raise ServiceError(Reason.UNKNOWN_TOOL, str(error)) from error
        except FormatMismatchError as error:
            raise ServiceError(Reason.INVALID_TOOL_USE, str(error)) from error
        except UnenforceableError as error:
            raise ServiceError(Reason.INVALID_SCHEMA, f"no grammar can require a call: {error}") from error

    @unary
    async def ListTools(self, request: tool_pb2.ListToolsRequest) -> tool_pb2.ListToolsResponse:
        """Lists tools and formats."""
        return tool_pb2.ListToolsResponse(
            tools=[wire.tool_message(tool) for _, tool in sorted(self._host.tools.items())],
            formats=[
                wire.format_message(format_, self._host.calls_others(format_)) for _, format_ in sorted(FORMATS.items())
            ],
        )


async def _obey(
    runner: Runner, requests: AsyncIterator[tool_pb2.ExecuteRequest], fail: Callable[[Exception], None]
) -> None:
    """Carries out the commands after `start`, until the caller has no more. `fail` hears of a turn whose end failed."""
    ending: asyncio.Task[None] | None = None  # of a turn: its calls may wait for a decision, so reading goes on
    try:
        async for request in requests:
            match request.WhichOneof("command"):
                case "decide":
                    runner.decide(request.decide.call_id, request.decide.approved, request.decide.reason)
                case "text_delta" | "turn_end" if ending is not None and not ending.done():
                    reject(Reason.PROTOCOL_VIOLATION, "the turn that ended has not finished; wait for turn_finished")
                case "text_delta":
                    runner.text(request.text_delta.text)
                case "turn_end":
                    ending = asyncio.create_task(runner.end_turn(wire.parse_end(request.turn_end)))
                    ending.add_done_callback(lambda ended: _tell(ended, fail))
                case other:
                    reject(Reason.PROTOCOL_VIOLATION, f"command {other} is not expected here")
        if ending is not None:
            await ending
    finally:
        if ending is not None:
            ending.cancel()
            await asyncio.gather(ending, return_exceptions=True)


def _tell(ended: "asyncio.Task[None]", fail: Callable[[Exception], None]) -> None:
    if not ended.cancelled() and isinstance(error := ended.exception(), Exception):
        fail(error)
