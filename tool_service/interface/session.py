"""State of the tools of one completion: made when first needed, shared by its calls, closed with it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

import structlog

log = structlog.get_logger()


class Closable(Protocol):
    """A resource."""

    async def aclose(self) -> None:
        """Frees it. May be called more than once."""
        ...


R = TypeVar("R", bound=Closable)


class Session:
    """Handed to a tool that asks for it with a parameter annotated `Session`."""

    def __init__(self) -> None:
        self._resources: dict[Callable[[], Awaitable[Any]], Closable] = {}
        self._locks: dict[Callable[[], Awaitable[Any]], asyncio.Lock] = {}

    @asynccontextmanager
    async def exclusive(self, factory: Callable[[], Awaitable[R]]) -> AsyncIterator[R]:
        """The completion's resource of this factory, one caller at a time in the order of their asking.

        A block that is left by an exception leaves a resource in an unknown state, so it is closed; the next caller
        gets a fresh one.
        """
        async with self._locks.setdefault(factory, asyncio.Lock()):
            if factory not in self._resources:
                self._resources[factory] = await factory()
            try:
                yield self._resources[factory]  # type: ignore[misc]
            except BaseException:
                await self._close(self._resources.pop(factory))
                raise

    async def aclose(self) -> None:
        """Closes every resource."""
        while self._resources:
            await self._close(self._resources.popitem()[1])

    async def _close(self, resource: Closable) -> None:
        try:
            await resource.aclose()
        except Exception:
            log.exception("closing failed", resource=type(resource).__name__)
