"""The running call, as its tool sees it."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from tool_service.interface.meter import Meter, Sealed

Undo = Callable[[], Awaitable[object] | None]

log = structlog.get_logger()

UNDO_SECONDS = 10.0  # for each of them


class Call:
    """Handed to a tool that asks for it with a parameter annotated `Call`.

    A tool with `Effect.WRITE` prepares before `await call.sealed()` and acts after it; what it prepared it undoes in a
    function that it gave to `on_abandon`, which runs when the call will never be sealed.

    `id` is the call's in its completion. `key` is the same in every try of the same completion and in no other: an
    idempotency key to hand to whatever the tool acts on. `traceparent` names the call's span (W3C Trace Context), for
    what the tool asks of others; where no spans are kept here, the one that the completion came with, or None.
    """

    def __init__(self, id_: str, key: str, meter: Meter, traceparent: str | None = None) -> None:
        self.id = id_
        self.key = key
        self.traceparent = traceparent
        self._meter = meter
        self._sealed: asyncio.Future[Sealed[None]] = asyncio.get_running_loop().create_future()
        self._undos: list[Undo] = []

    async def sealed(self) -> None:
        """Waits until the call is complete, all of its arguments are valid and, where that is asked for, a person has
        allowed it."""
        await self._meter.wait(asyncio.shield(self._sealed))

    def on_abandon(self, undo: Undo) -> None:
        """Has `undo` run, last given first, if the call is given up before it is sealed."""
        self._undos.append(undo)

    async def until_sealed(self) -> None:
        """Waits like `sealed`, off the meter. For the runner."""
        await asyncio.shield(self._sealed)

    def seal(self, offset: int) -> None:
        """The call may act. For the runner."""
        if not self._sealed.done():
            self._sealed.set_result(Sealed(None, offset, "sealed"))

    async def abandon(self) -> None:
        """Undoes what the tool prepared, unless the call was sealed. Goes on when it is cancelled. For the runner."""
        if self._undos and not self._sealed.done():
            await asyncio.shield(asyncio.create_task(self._undo_all()))

    async def _undo_all(self) -> None:
        while self._undos:
            try:
                pending = self._undos.pop()()
                if pending is not None:
                    async with asyncio.timeout(UNDO_SECONDS):
                        await pending
            except Exception:
                log.exception("undo failed", call=self.id)
