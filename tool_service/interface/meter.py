"""Measures what a call does: working, or waiting for the model's text.

A call is cut into units where it waits for input: a unit begins when the tool gets a piece of input and ends when it
asks for the next one. Time limits count working time only; a slow model is not the tool's fault.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")

LEND_SECONDS = 0.1  # a wait that is longer gives the place back; between two tokens a call keeps it


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of work. `offset`: length of the turn's text that its input needed; `busy` in seconds."""

    label: str
    offset: int
    busy: float


@dataclass(frozen=True, slots=True)
class Sealed(Generic[T]):
    """A piece of input, and the length of the turn's text at which it was there."""

    value: T
    offset: int
    label: str


class Place(Protocol):
    """What a call needs to work, and others need too while it waits."""

    async def take(self) -> None:
        """Waits until it is there; at once for a call that has it."""
        ...

    def give_back(self) -> None:
        """Lets others have it; nothing for a call that has it not."""
        ...


class Meter:
    """The clock of one call. `on_unit` hears of each finished unit, `on_timeout` when `budget` seconds of work are used
    up. A call that waits for input or for its completion's other calls gives its `place` back meanwhile, unless that
    takes but a moment.
    """

    def __init__(
        self,
        budget: float,
        on_unit: Callable[[Unit], None],
        on_timeout: Callable[[], None],
        place: Place | None = None,
    ) -> None:
        self._budget = budget
        self._on_unit = on_unit
        self._on_timeout = on_timeout
        self._place = place
        self._leaving: asyncio.TimerHandle | None = None
        self._unit: tuple[str, int, float] | None = None
        self.offset = 0  # of the input that came last
        self._alarm: asyncio.TimerHandle | None = None
        self._waiters = 0
        self._waiting_since = 0.0
        self.busy = 0.0
        self.waiting = 0.0
        self.queued = 0.0

    def begin(self, label: str, offset: int) -> None:
        """A unit begins."""
        self.offset = offset
        self._unit = (label, offset, time.monotonic())
        self._alarm = asyncio.get_running_loop().call_later(max(0.0, self._budget - self.busy), self._on_timeout)

    def end(self) -> None:
        """The running unit, if any, ends."""
        if self._unit is None or self._alarm is None:
            return
        label, offset, began = self._unit
        busy = time.monotonic() - began
        self._alarm.cancel()
        self._unit = None
        self.busy += busy
        self._on_unit(Unit(label, offset, busy))

    async def wait(self, source: Awaitable[Sealed[T]]) -> Sealed[T]:
        """Waits for input between two units."""
        self._pause()
        if self._waiters == 1:
            self._leave()
        sealed: Sealed[T] | None = None
        try:
            sealed = await source
            await self._return()
            return sealed
        finally:
            self._stay()
            self._resume(sealed.label if sealed else "interrupted", sealed.offset if sealed else 0)

    async def aside(self, work: Awaitable[T]) -> T:
        """Waits for something that is not this call's work, off the clock; then the same unit goes on."""
        label, offset = (self._unit[0], self._unit[1]) if self._unit else ("aside", self.offset)
        self._pause()
        try:
            return await work
        finally:
            self._resume(label, offset)

    async def queue(self, place: Awaitable[T], undo: Callable[[], None] | None = None) -> T:
        """Waits for something that another call has, off the clock; then the same unit goes on.

        With `undo`, which lets go of it again, this call's place is given back meanwhile: that other call may need it.
        """
        label, offset = (self._unit[0], self._unit[1]) if self._unit else ("queued", 0)
        self.end()
        began = time.monotonic()
        if undo is not None:
            self._leave()
        try:
            had = await place
            if undo is not None:
                try:
                    await self._take_place()
                except BaseException:
                    undo()
                    raise
            return had
        finally:
            self._stay()
            self.queued += time.monotonic() - began
            self.begin(label, offset)

    def _leave(self) -> None:
        """Gives the place back, unless the wait is over soon."""
        if self._place is not None:
            self._stay()
            self._leaving = asyncio.get_running_loop().call_later(LEND_SECONDS, self._place.give_back)

    def _stay(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None

    async def _take_place(self) -> None:
        self._stay()
        if self._place is not None:
            await self._place.take()

    async def _return(self) -> None:
        """Takes the place again after a wait for input; the wait for it is one for others."""
        began = time.monotonic()
        await self._take_place()
        if self._unit is None:
            ended = time.monotonic()
            self.waiting += began - self._waiting_since
            self.queued += ended - began
            self._waiting_since = ended

    def _pause(self) -> None:
        self._waiters += 1
        if self._waiters == 1:
            self.end()
            self._waiting_since = time.monotonic()

    def _resume(self, label: str, offset: int) -> None:
        self._waiters -= 1
        if self._unit is None:
            self.waiting += time.monotonic() - self._waiting_since
            self.begin(label, offset)
