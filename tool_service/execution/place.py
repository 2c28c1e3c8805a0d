"""A call's place among those of its tool: at most as many work at once as the tool's `concurrency` says."""

import asyncio


class CallPlace:
    """One of `places`, taken and given back as often as the call works and waits."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places
        self._taking = asyncio.Lock()  # a tool may wait for several things at once
        self._held = False

    async def take(self) -> None:
        """Waits for a place, in the order of asking; not at all where the call has one."""
        async with self._taking:
            if not self._held:
                await self._places.acquire()
                self._held = True

    def give_back(self) -> None:
        """Lets another call have it; nothing where the call has none."""
        if self._held:
            self._held = False
            self._places.release()
