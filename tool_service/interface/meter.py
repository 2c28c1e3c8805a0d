"""Measures what a call does: working, or waiting for the model's text.

A call is cut into units where it waits for input: a unit begins when the tool gets a piece of input and ends when it
asks for the next one. Time limits count working time only; a slow model is not the tool's fault.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


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


class Meter:
    """The clock of one call. `on_unit` hears of each finished unit, `on_timeout` when `budget` seconds of work are used
    up."""

    def __init__(self, budget: float, on_unit: Callable[[Unit], None], on_timeout: Callable[[], None]) -> None:
        self._budget = budget
        self._on_unit = on_unit
        self._on_timeout = on_timeout
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
        sealed: Sealed[T] | None = None
        try:
            sealed = await source
            return sealed
        finally:
            self._resume(sealed.label if sealed else "interrupted", sealed.offset if sealed else 0)

    async def aside(self, work: Awaitable[T]) -> T:
        """Waits for something that is not this call's work, off the clock; then the same unit goes on."""
        label, offset = (self._unit[0], self._unit[1]) if self._unit else ("aside", self.offset)
        self._pause()
        try:
            return await work
        finally:
            self._resume(label, offset)

    async def queue(self, place: Awaitable[T]) -> T:
        """Waits for something that another call has, off the clock; then the same unit goes on."""
        label, offset = (self._unit[0], self._unit[1]) if self._unit else ("queued", 0)
        self.end()
        began = time.monotonic()
        try:
            return await place
        finally:
            self.queued += time.monotonic() - began
            self.begin(label, offset)

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
