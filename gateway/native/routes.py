"""`/v1/completions` and what is under it, and `/v1/tools`."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from gateway import handling
from gateway.archive.archive import Archive, Found
from gateway.archive.perfetto import trace_events
from gateway.archive.recording import data_of
from gateway.archive.store import StoreError
from gateway.completions import Completions
from gateway.event_stream import EventStream, event
from gateway.failures import HttpFailure
from gateway.handling import Handler
from gateway.message_json import to_data
from gateway.native.body import CompletionRequest, Word
from gateway.native.detached import Detached
from gateway.tools import Catalogue
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.rpc import context

MAX_LISTED = 1000
LISTED = 50
LAST_EVENT_ID = "last-event-id"  # https://html.spec.whatwg.org/multipage/server-sent-events.html
_EVENTS_AT_ONCE = 256
_RETRY_SECONDS = 1.0
_NUMBER = re.compile(r"\d{1,9}", re.ASCII)

log = structlog.get_logger()


class Native:
    """The routes. A body has at most `max_bytes`."""

    def __init__(self, completions: Completions, archive: Archive, catalogue: Catalogue, max_bytes: int) -> None:
        self._completions = completions
        self._archive = archive
        self._catalogue = catalogue
        self._max_bytes = max_bytes
        self.detached = Detached(completions)

    @property
    def routes(self) -> list[Route]:
        """For the application."""
        one = "/v1/completions/{id}"
        table = (
            ("/v1/tools", "GET", self.tools),
            ("/v1/completions", "POST", self.start),
            ("/v1/completions", "GET", self.recent),
            (one, "GET", self.show),
            (one, "DELETE", self.forget),
            (f"{one}/events", "GET", self.events),
            (f"{one}/cancel", "POST", self.cancel),
            (f"{one}/approve", "POST", self.approve),
        )
        return [Route(path, handling.telling(_kept(handler)), methods=[method]) for path, method, handler in table]

    async def tools(self, _request: Request) -> Response:
        """Tools and formats, as last heard from the tool service."""
        return JSONResponse(to_data((await self._catalogue.listing()).response))

    async def start(self, request: Request) -> Response:
        """A completion that runs on whether or not anybody listens."""
        asked = await handling.read(CompletionRequest, request, self._max_bytes)
        await self.detached.start(asked.complete_request())
        request_id = context.current().request_id
        return JSONResponse({"id": request_id}, 201, {"location": f"/v1/completions/{request_id}"})

    async def recent(self, request: Request) -> Response:
        """The caller's newest completions, however they were asked for."""
        limit = _number(request.query_params.get("limit", str(LISTED)), "limit", MAX_LISTED)
        summaries = await self._archive.recent(context.current().caller, limit)
        return JSONResponse({"completions": [summary.to_json() for summary in summaries]})

    async def show(self, request: Request) -> Response:
        """All that is known of one; `?format=perfetto`: as a trace."""
        found = await self._found(request)
        form = request.query_params.get("format", "json")
        if form == "perfetto":
            return Response(await asyncio.to_thread(_trace, found), media_type="application/json")
        if form != "json":
            raise HttpFailure(400, "invalid_value", "format: must be json or perfetto", param="format")
        return StreamingResponse(_whole(found), media_type="application/json")

    async def events(self, request: Request) -> Response:
        """Its events, those that were and those that come. 204 where it has ended and nothing is left, which tells a
        browser to come no more."""
        found = await self._found(request)
        # A browser that comes again sends the header with the address that it had at first.
        place = 0
        for after in request.query_params.getlist("after"):  # each is looked at, though the header goes before it
            place = _number(after, "after", 10**9)
        if last := request.headers.get(LAST_EVENT_ID):
            place = _number(last, "after", 10**9)
        summary = found.summary
        if summary.state != "running" and place >= len(found.events) + (summary.error is not None):
            return Response(status_code=204)
        return EventStream(_frames(found, place))

    async def cancel(self, request: Request) -> Response:
        """Stops all of the work behind it, whoever asked for it."""
        found = await self._found(request)
        await self._archive.cancel(context.current().caller, found.summary.id)
        return JSONResponse(found.summary.to_json())

    async def forget(self, request: Request) -> Response:
        """Stops it, and keeps nothing of it."""
        caller = context.current().caller
        if not await self._archive.forget(caller, request.path_params["id"]):
            raise _unknown(request)
        return Response(status_code=204)

    async def approve(self, request: Request) -> Response:
        """Allows or refuses a call that waits for it."""
        found = await self._found(request)
        word = await handling.read(Word, request, self._max_bytes)
        self._completions.approvals.approve(pb.ApproveRequest(request_id=found.summary.id, **word.model_dump()))
        return Response(status_code=204)

    async def _found(self, request: Request) -> Found:
        found = await self._archive.find(context.current().caller, request.path_params["id"])
        if found is None:
            raise _unknown(request)
        return found


def _unknown(request: Request) -> HttpFailure:
    shown = request.path_params["id"][:64]
    return HttpFailure(404, "not_found", f"there is no completion {shown!r}: not yet, or it is not kept any longer")


def _number(text: str, name: str, most: int) -> int:
    if not _NUMBER.fullmatch(text) or int(text) > most:
        raise HttpFailure(400, "invalid_value", f"{name}: must be a number from 0 to {most}", param=name)
    return int(text)


def _kept(handler: Handler) -> Handler:
    """Tells a client what it may try again."""

    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except StoreError as error:
            log.error("completions not reachable", cause=str(error))
            message = "the completions that are kept cannot be reached: their file is locked, full or broken; try again"
            raise HttpFailure(503, "store_unavailable", message, retry_seconds=_RETRY_SECONDS) from error

    return handle


def _trace(found: Found) -> str:
    return _json(trace_events(found.summary, data_of(found.events)))


async def _whole(found: Found) -> AsyncGenerator[str, None]:
    """All of it as JSON, piece by piece: a long one takes seconds, which others shall not wait."""
    summary, events = found.summary.to_json(), found.events
    request = await asyncio.to_thread(to_data, found.request)
    yield _json({**summary, "request": request}).removesuffix("}") + ',"events":['
    for begin in range(0, len(events), _EVENTS_AT_ONCE):
        piece = await asyncio.to_thread(_items, events[begin : begin + _EVENTS_AT_ONCE])
        yield f",{piece}" if begin else piece
    yield "]}"


def _items(events: Sequence[bytes]) -> str:
    return ",".join(map(_json, data_of(events)))


async def _frames(found: Found, after: int) -> AsyncGenerator[bytes, None]:
    async with aclosing(_numbered(found, after)) as events:
        async for number, recorded in events:
            yield _frame(number, recorded)
            if number % _EVENTS_AT_ONCE == 0:
                await asyncio.sleep(0)  # to a client that reads as fast as we write nothing else waits
    if found.summary.error is not None:
        yield event(_json({"failed": found.summary.error}), kind="failed", number=len(found.events) + 1)


async def _numbered(found: Found, after: int) -> AsyncGenerator[tuple[int, bytes], None]:
    if found.running is None:
        for place in enumerate(found.events[after:], after + 1):
            yield place
    else:
        async with aclosing(found.running.follow(after)) as events:
            async for place in events:
                yield place


def _frame(number: int, recorded: bytes) -> bytes:
    response = pb.CompleteResponse.FromString(recorded)
    kind = response.WhichOneof("event") or "unknown"
    return event(_json(to_data(response)), kind=kind, number=number)


def _json(data: dict[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))
