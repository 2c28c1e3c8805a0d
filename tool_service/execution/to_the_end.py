"""Work that is done to its end, whoever stops waiting for it: killing a process, waiting for its death."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def to_the_end(work: Awaitable[T]) -> T:
    """What comes of `work`. A cancel meanwhile is raised only when the work has ended; what it raised is dropped then.

    The work must be bounded in time.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        task.exception()  # else it is logged as one that nobody has seen
    raise cancelled
