"""Inputs that a tool may wait for: `Arg[T]`, an argument, and `Stream[str]`, a string that is still being written."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Generator
from typing import Any, Generic, Protocol, TypeVar

from tool_service.interface.meter import Meter, Sealed

T = TypeVar("T")
LABEL_CHARS = 60


class Splitter(Protocol):
    """Cuts a growing text into units. What it hands over, joined, is the text."""

    def feed(self, text: str) -> list[str]:
        """The units that the new text completes."""
        ...

    def close(self) -> list[str]:
        """The rest."""
        ...


class Arg(Generic[T]):
    """An argument: `await` gives its value when it is sealed and valid. May be awaited any number of times."""

    def __init__(self, name: str, meter: Meter) -> None:
        self._name = name
        self._meter = meter
        self._value: asyncio.Future[Sealed[T]] = asyncio.get_running_loop().create_future()

    def __await__(self) -> Generator[Any, None, T]:
        """Waits until the argument is sealed."""
        return self._get().__await__()

    def known(self, otherwise: T) -> T:
        """The value if it is sealed by now, without waiting for it."""
        done = self._value.done() and not self._value.cancelled()
        return self._value.result().value if done else otherwise

    async def _get(self) -> T:
        return (await self._meter.wait(asyncio.shield(self._value))).value

    def seal(self, value: T, offset: int) -> None:
        """The argument is complete and valid. For the runner."""
        if not self._value.done():
            self._value.set_result(Sealed(value, offset, self._name))


class Stream(Generic[T]):
    """A string that is still being written: iterate for its pieces, `units(splitter)` for whole units of it, or `await`
    all of it.

    It can be read once, in one of the three ways.
    """

    def __init__(self, name: str, meter: Meter) -> None:
        self._name = name
        self._meter = meter
        self._pieces: deque[tuple[str, int]] = deque()
        self._end: int | None = None
        self._news = asyncio.Event()

    def __await__(self) -> Generator[Any, None, str]:
        """Waits for the whole string."""
        return self._whole().__await__()

    async def __aiter__(self) -> AsyncIterator[str]:
        """Its pieces, as they were decoded."""
        while (sealed := await self._meter.wait(self._next())).value:
            yield sealed.value

    async def units(self, splitter: Splitter) -> AsyncIterator[str]:
        """Whole units, each as soon as it is complete."""
        ready: deque[Sealed[str]] = deque()
        while (sealed := await self._meter.wait(self._next_unit(splitter, ready))).value:
            yield sealed.value

    def push(self, text: str, offset: int) -> None:
        """More of the string. For the runner."""
        if text:
            self._pieces.append((text, offset))
            self._news.set()

    def seal(self, offset: int) -> None:
        """The string is complete. For the runner."""
        self._end = offset
        self._news.set()

    async def _whole(self) -> str:
        """One wait for all of it: pieces are no units for who asks for the whole."""
        return (await self._meter.wait(self._rest())).value

    async def _rest(self) -> Sealed[str]:
        while self._end is None:
            self._news.clear()
            await self._news.wait()
        text = "".join(piece for piece, _ in self._pieces)
        self._pieces.clear()
        return Sealed(text, self._end, self._name)

    async def _next(self) -> Sealed[str]:
        """All pieces that are there, at least one; an empty one at the end."""
        while not self._pieces and self._end is None:
            self._news.clear()
            await self._news.wait()
        if not self._pieces:
            return Sealed("", self._end or 0, "end")
        offset = self._pieces[-1][1]
        text = "".join(piece for piece, _ in self._pieces)
        self._pieces.clear()
        return Sealed(text, offset, self._name)

    async def _next_unit(self, splitter: Splitter, ready: deque[Sealed[str]]) -> Sealed[str]:
        """Feeds piece by piece, so that each unit knows the offset of the piece that completed it."""
        while not ready:
            if self._pieces:
                text, offset = self._pieces.popleft()
                ready.extend(Sealed(unit, offset, _label(unit)) for unit in splitter.feed(text))
            elif self._end is not None:
                rest = (Sealed(unit, self._end, _label(unit)) for unit in splitter.close() if unit)
                ready.extend((*rest, Sealed("", self._end, "end")))
            else:
                self._news.clear()
                await self._news.wait()
        return ready.popleft()


def _label(unit: str) -> str:
    line = next((line for line in unit.splitlines() if line.strip()), "").strip()
    return line if len(line) <= LABEL_CHARS else line[: LABEL_CHARS - 1] + "…"
