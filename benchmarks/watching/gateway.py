"""A gateway that tells made-up completions at their pace, with the page: the real one's JSON, and nothing behind it."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from benchmarks.watching.script import Event, kind_of
from gateway import page
from gateway.http import HttpServer

Scripts = Callable[[dict[str, Any]], list[Event]]

TOOLS = {
    "tools": [
        {"name": name, "description": said, "parameters_json_schema": "{}", "effect": "none", "partial": early}
        for name, said, early in (
            ("calculator", "Compute an arithmetic expression.", False),
            ("plan", "Carry out a plan that calls other tools, a line for each call.", True),
            ("python", "Run Python code, and give back what it prints.", True),
        )
    ],
    "formats": [
        {"name": "code_block", "description": "Python in fences.", "only_tool": "python", "calls_others": False},
        {"name": "json", "description": "JSON objects.", "only_tool": "", "calls_others": False},
        {"name": "plan", "description": "Lines of a plan.", "only_tool": "plan", "calls_others": True},
    ],
}


@dataclass(slots=True)
class Told:
    """One completion, as far as it has been told."""

    id: str
    request: dict[str, Any]
    events: list[Event] = field(default_factory=list)
    begun_at: float = field(default_factory=time.time)
    more: asyncio.Condition = field(default_factory=asyncio.Condition)
    decided: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def over(self) -> bool:
        """Whether its last event is there."""
        return bool(self.events) and kind_of(self.events[-1]) in ("finished", "failed")

    async def add(self, event: Event) -> None:
        """Tells whoever listens."""
        async with self.more:
            self.events.append(event)
            self.more.notify_all()

    def summary(self) -> dict[str, Any]:
        """As the list has it."""
        last = self.events[-1] if self.over else {}
        finished, use = last.get("finished", {}), self.request.get("tool_use", {})
        return {
            "id": self.id,
            "begun_at": self.begun_at,
            "state": "finished" if finished else "failed" if last else "running",
            "prompt": self.request["messages"][-1]["content"][:200],
            "mode": use.get("mode", ""),
            "tools": use.get("tools", []),
            "finish_reason": finished.get("finish_reason"),
            "error": last.get("failed"),
            "ledger": finished.get("ledger"),
        }


class MadeUpGateway:
    """Tells what `scripts` makes of a request, `speed` times as fast as it says; with a `key`, to those who have it."""

    def __init__(self, scripts: Scripts, speed: float = 1.0, key: str = "") -> None:
        self.completions: dict[str, Told] = {}
        self.speed = speed
        self.streams: set[asyncio.Task[None]] = set()
        self.approvals: list[dict[str, Any]] = []
        self._scripts = scripts
        self._telling: dict[str, asyncio.Task[None]] = {}
        one = "/v1/completions/{id}"
        routes = [
            *page.routes,
            Route("/v1/tools", self._tools),
            Route("/v1/completions", self._list, methods=["GET"]),
            Route("/v1/completions", self._begin, methods=["POST"]),
            Route(one, self._detail),
            Route(f"{one}/events", self._events),
            Route(f"{one}/cancel", self._cancel, methods=["POST"]),
            Route(f"{one}/approve", self._approve, methods=["POST"]),
        ]
        middleware = [Middleware(_Guard, key=key)] if key else []
        self._server = HttpServer("127.0.0.1:0", Starlette(routes=routes, middleware=middleware))

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self._server.port}"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["MadeUpGateway"]:
        """Listens until the block is left."""
        await self._server.start()
        try:
            yield self
        finally:
            for task in self._telling.values():
                task.cancel()
            await asyncio.gather(*self._telling.values(), return_exceptions=True)
            self.drop()
            await self._server.stop()

    def drop(self) -> None:
        """Ends every stream where it is, as a connection that is lost."""
        for stream in self.streams:
            stream.cancel()

    def begin(self, request: dict[str, Any]) -> Told:
        """A completion begins."""
        told = Told(f"made-{len(self.completions) + 1}", request)
        self.completions[told.id] = told
        self._telling[told.id] = asyncio.create_task(self._tell(told, self._scripts(request)))
        return told

    async def _tell(self, told: Told, events: list[Event]) -> None:
        begun = time.monotonic()
        for event in events:
            late = begun + event["at_seconds"] / self.speed - time.monotonic()
            if late > 0:
                await asyncio.sleep(late)
            await told.add(event)
            if "approval_awaited" in event:
                await told.decided.wait()

    async def _tools(self, _request: Request) -> Response:
        return JSONResponse(TOOLS)

    async def _list(self, _request: Request) -> Response:
        return JSONResponse({"completions": [told.summary() for told in reversed(self.completions.values())]})

    async def _begin(self, request: Request) -> Response:
        asked = await request.json()
        if asked["messages"][-1]["content"] == "refuse":
            return _error(429, "overloaded", "256 completions run already.")
        return JSONResponse({"id": self.begin(asked).id}, status_code=201)

    async def _detail(self, request: Request) -> Response:
        told = self.completions.get(request.path_params["id"])
        if told is None:
            return _error(404, "not_found", f"There is no completion {request.path_params['id']}.")
        if request.query_params.get("format") == "perfetto":
            return JSONResponse({"traceEvents": []})
        return JSONResponse({**told.summary(), "request": told.request, "events": told.events})

    async def _events(self, request: Request) -> Response:
        told = self.completions[request.path_params["id"]]
        return StreamingResponse(
            self._frames(told, int(request.query_params.get("after", 0))), media_type="text/event-stream"
        )

    async def _frames(self, told: Told, number: int) -> AsyncIterator[str]:
        stream = asyncio.current_task()
        assert stream is not None
        self.streams.add(stream)
        try:
            while number < len(told.events) or not told.over:
                async with told.more:
                    while number >= len(told.events):
                        await told.more.wait()
                    events = told.events[number:]
                for event in events:
                    number += 1
                    yield f"id: {number}\nevent: {kind_of(event)}\ndata: {json.dumps(event)}\n\n"
        finally:
            self.streams.discard(stream)

    async def _cancel(self, request: Request) -> Response:
        told = self.completions[request.path_params["id"]]
        self._telling[told.id].cancel()
        if not told.over:
            at = told.events[-1]["at_seconds"] if told.events else 0.0
            await told.add({"at_seconds": at, "failed": {"code": "cancelled", "message": "It was cancelled."}})
        return JSONResponse(told.summary())

    async def _approve(self, request: Request) -> Response:
        self.approvals.append(await request.json())
        self.completions[request.path_params["id"]].decided.set()
        return Response(status_code=204)


class _Guard:
    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app, self._key = app, key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope["headers"]).get(b"authorization", b"").decode()
        if scope["path"].startswith("/v1/") and given != f"Bearer {self._key}":
            await _error(401, "invalid_api_key", "The key is wrong.")(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _error(status: int, code: str, message: str) -> Response:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return JSONResponse({"error": error}, status_code=status)
