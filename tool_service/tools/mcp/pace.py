"""Keeps one that talks without end from taking all of the event loop."""

import asyncio
import time


class Pace:
    """Lets `burst` units pass at once and then `rate` a second; who is faster waits."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._since = time.monotonic()

    async def spend(self, units: float) -> None:
        """Waits until `units` more may pass."""
        now = time.monotonic()
        self._left = min(self._burst, self._left + (now - self._since) * self._rate) - units
        self._since = now
        if self._left < 0:
            await asyncio.sleep(-self._left / self._rate)
