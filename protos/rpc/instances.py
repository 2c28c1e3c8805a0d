"""One long stream to each process behind a channel.

A channel goes round its replicas, and nobody can tell it which one to take. So streams are opened until one leads to
the process that is wanted; those that lead to others are kept for when they are.
"""

import asyncio
import contextvars
import time
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

import structlog

RETRY_SECONDS = 1.0  # between two searches
MOST_ATTEMPTS = 16  # of one

log = structlog.get_logger()


class Stream(Protocol):
    """A stream that was opened. `is_lost`: it leads nowhere any more."""

    is_lost: bool

    async def aclose(self) -> None:
        """Ends it."""
        ...


S = TypeVar("S", bound=Stream)


class PerInstance(Generic[S]):
    """The streams, by the process that they lead to. `open_` opens one and says where it leads; None: nobody answers,
    or there are none. `kind` is their name in the log."""

    def __init__(self, kind: str, open_: Callable[[], Awaitable[tuple[str, S] | None]]) -> None:
        self._kind = kind
        self._open = open_
        self._streams: dict[str, S] = {}
        self._opening: asyncio.Task[None] | None = None
        self._tried_at = -RETRY_SECONDS

    def to(self, instance: str) -> S | None:
        """The stream to a process; where there is none, None, and one is looked for in the background."""
        if not self._is_missing(instance):
            return self._streams[instance]
        idle = self._opening is None or self._opening.done()
        if idle and time.monotonic() - self._tried_at >= RETRY_SECONDS:
            self._tried_at = time.monotonic()
            self._opening = asyncio.create_task(self._find(instance), context=contextvars.Context())
        return None

    def living(self) -> list[S]:
        """All that lead somewhere."""
        return [stream for stream in self._streams.values() if not stream.is_lost]

    async def aclose(self) -> None:
        """Ends all of them."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        await asyncio.gather(*(stream.aclose() for stream in self._streams.values()))

    async def _find(self, instance: str) -> None:
        """Opens streams until there is one to this process. The channel chooses where each goes, in turn."""
        for _ in range(MOST_ATTEMPTS):
            opened = await self._open()
            if opened is None:
                return
            await self._keep(*opened)
            if not self._is_missing(instance):
                return

    async def _keep(self, instance: str, stream: S) -> None:
        if not self._is_missing(instance):
            await stream.aclose()
            return
        self._streams = {name: each for name, each in self._streams.items() if not each.is_lost}
        self._streams[instance] = stream
        log.info(f"{self._kind} opened", instance=instance)

    def _is_missing(self, instance: str) -> bool:
        stream = self._streams.get(instance)
        return stream is None or stream.is_lost
