"""The catalogue: which tools and formats there are, kept fresh from the tool service.

It is asked every few seconds in the background, so that no completion waits for it; a name that is unknown has it asked
at once. While the tool service is away the last list that it gave stands.
"""

import asyncio
from dataclasses import dataclass
from functools import cached_property

import grpc
import structlog

from gateway import wire
from gateway.request import ToolUse, listed, shown
from protos.conveyor.gateway.v1 import gateway_pb2
from protos.conveyor.tool.v1 import tool_pb2, tool_pb2_grpc
from protos.rpc import context
from protos.rpc.errors import Reason, ServiceError, from_rpc_error, reject_field

_ANSWER_SECONDS = 2.0

log = structlog.get_logger()


@dataclass(frozen=True)
class Listing:
    """What the tool service has: the answer to `ListTools`, and its names to look up."""

    response: gateway_pb2.ListToolsResponse

    @cached_property
    def tools(self) -> frozenset[str]:
        """Names of the tools."""
        return frozenset(tool.name for tool in self.response.tools)

    @cached_property
    def formats(self) -> dict[str, gateway_pb2.Format]:
        """Each format by its name."""
        return {form.name: form for form in self.response.formats}

    def knows(self, use: ToolUse) -> bool:
        """Whether the format and every tool exist."""
        return use.format in self.formats and self.tools.issuperset(use.tools)

    def require(self, use: ToolUse) -> None:
        """Raises `ServiceError` UNKNOWN_FORMAT, UNKNOWN_TOOL or INVALID_TOOL_USE where `use` cannot be served."""
        if use.format not in self.formats:
            told = f"is {shown(use.format)}; the formats are {listed(sorted(self.formats))}."
            reject_field(Reason.UNKNOWN_FORMAT, "tool_use.format", told)
        for name in use.tools:
            if name not in self.tools:
                told = f"names {shown(name)}; the tools are {listed(sorted(self.tools))}."
                reject_field(Reason.UNKNOWN_TOOL, "tool_use.tools", told)
        form = self.formats[use.format]
        only, alone = form.only_tool, not form.calls_others
        names = (*use.tools, *(function.name for function in use.functions))
        if only and (only not in use.tools or use.functions or (alone and len(use.tools) > 1)):
            told = f"is {listed(names)}; the format {shown(use.format)} can call {shown(only)} only."
            reject_field(Reason.INVALID_TOOL_USE, "tool_use.tools", told)


class Catalogue:
    """Tools and formats of the tool service behind `channel`."""

    def __init__(self, channel: grpc.aio.Channel, refresh_seconds: float) -> None:
        self._stub = tool_pb2_grpc.ToolServiceStub(channel)
        self._refresh_seconds = refresh_seconds
        self._listing: Listing | None = None
        self._refreshing: asyncio.Task[ServiceError | None] | None = None
        self._reachable = True

    async def run(self) -> None:
        """Keeps the catalogue fresh until it is cancelled."""
        while True:
            await self._refresh()
            await asyncio.sleep(self._refresh_seconds)

    async def listing(self) -> Listing:
        """The latest list. Raises `ServiceError` TOOL_SERVICE_UNAVAILABLE where there never was one."""
        if self._listing is None:
            error = await self._refresh()
            if self._listing is None:
                raise error or ServiceError(
                    Reason.TOOL_SERVICE_UNAVAILABLE, "The tool service has listed no tools yet."
                )
        return self._listing

    async def require(self, use: ToolUse) -> None:
        """Raises `ServiceError` where the tool service, asked again if need be, cannot serve `use`."""
        listing = await self.listing()
        if not listing.knows(use):
            await self._refresh()
            listing = await self.listing()
        listing.require(use)

    async def _refresh(self) -> ServiceError | None:
        """Asks the tool service; those who want to know at the same time share one question."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._ask())
        return await asyncio.shield(self._refreshing)

    async def _ask(self) -> ServiceError | None:
        try:
            answer = await self._stub.ListTools(
                tool_pb2.ListToolsRequest(), timeout=_ANSWER_SECONDS, metadata=context.current().metadata()
            )
        except grpc.aio.AioRpcError as error:
            self._note(reachable=False)
            told = from_rpc_error(error, Reason.TOOL_SERVICE_UNAVAILABLE)
            return ServiceError(
                Reason.TOOL_SERVICE_UNAVAILABLE,
                f"The tool service cannot be reached, so no tool can be offered: {told.message}",
            )
        self._note(reachable=True)
        self._listing = Listing(wire.copy(answer, gateway_pb2.ListToolsResponse))
        return None

    def _note(self, *, reachable: bool) -> None:
        if reachable != self._reachable:
            log.info("tool_service_back" if reachable else "tool_service_away")
        self._reachable = reachable
