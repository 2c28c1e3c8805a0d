"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

Written here because each token is one: a task group, a lock and a timeout for each of them took as long as the rest of
what the gateway does for a token.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

PING_SECONDS = 15.0  # of silence, so that nothing between us and the client thinks that the stream is dead
PING = b": ping\n\n"
HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",  # nginx would keep events until it has a page of them
}


def event(data: str, *, kind: str = "", number: int | None = None) -> bytes:
    """One event. `data` and `kind` are lines."""
    numbered = "" if number is None else f"id: {number}\n"
    named = f"event: {kind}\n" if kind else ""
    return f"{numbered}{named}data: {data}\n\n".encode()


class EventStream(Response):
    """An answer that is sent as `events` come. Where the client leaves, the generator is closed."""

    def __init__(self, events: AsyncGenerator[bytes, None], ping_seconds: float = PING_SECONDS) -> None:
        self.status_code = 200
        self.background: BackgroundTask | None = None
        self.init_headers(HEADERS)
        self._events = events
        self._ping_seconds = ping_seconds
        self._sent = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application of one answer."""
        tasks = [asyncio.create_task(work) for work in (self._send(send), self._ping(send), _gone(receive))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if not tasks[0].cancelled():
            tasks[0].result()

    async def _send(self, send: Send) -> None:
        async with aclosing(self._events) as events:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for body in events:
                self._sent += 1
                await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _ping(self, send: Send) -> None:
        while True:
            before = self._sent
            await asyncio.sleep(self._ping_seconds)
            if self._sent == before:
                await send({"type": "http.response.body", "body": PING, "more_body": True})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
