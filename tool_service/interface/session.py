"""State of the tools of one completion: made when first needed, shared by its calls, closed with it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

import structlog

from tool_service.interface.meter import Meter

log = structlog.get_logger()


class Closable(Protocol):
    """A resource."""

    async def aclose(self) -> None:
        """Frees it. May be called more than once."""
        ...


R = TypeVar("R", bound=Closable)
Factory = Callable[[], Awaitable[Any]]


class SessionState:
    """What the calls of one completion share: a resource and a lock for each factory."""

    def __init__(self) -> None:
        self.resources: dict[Factory, Closable] = {}
        self._locks: dict[Factory, asyncio.Lock] = {}

    def lock(self, factory: Factory) -> asyncio.Lock:
        """The lock of a factory's resource."""
        return self._locks.setdefault(factory, asyncio.Lock())

    async def close(self, factory: Factory) -> None:
        """Closes a resource, if there is one."""
        resource = self.resources.pop(factory, None)
        try:
            if resource is not None:
                await resource.aclose()
        except Exception:
            log.exception("closing failed", resource=type(resource).__name__)

    async def aclose(self) -> None:
        """Closes every resource."""
        for factory in tuple(self.resources):
            await self.close(factory)


class Session:
    """Handed to a tool that asks for it with a parameter annotated `Session`."""

    def __init__(self, state: SessionState, meter: Meter) -> None:
        self._state = state
        self._meter = meter

    @asynccontextmanager
    async def exclusive(self, factory: Callable[[], Awaitable[R]]) -> AsyncIterator[R]:
        """The completion's resource of this factory, one caller at a time in the order of their asking.

        A block that is left by an exception leaves a resource in an unknown state, so it is closed; the next caller
        gets a fresh one. Waiting for one's turn is not working time.
        """
        lock = self._state.lock(factory)
        if lock.locked():
            await self._meter.queue(lock.acquire(), lock.release)
        else:
            await lock.acquire()
        try:
            resource = self._state.resources.get(factory) or await factory()
            self._state.resources[factory] = resource
            yield resource  # type: ignore[misc]  # what this factory made
        except BaseException:
            await self._state.close(factory)
            raise
        finally:
            lock.release()
