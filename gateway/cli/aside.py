"""Runs what blocks in a thread that nobody has to wait for.

`asyncio.to_thread` has the loop wait, at its end, for a thread that a name server or a silent peer holds up, and Ctrl-C
with it. A thread of this kind is forgotten instead, and ends with the process.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")


async def aside(work: Callable[..., Result], *arguments: Any) -> Result:
    """What `work` returns or raises; where this is cancelled, it goes on alone."""
    outcome: Future[Result] = Future()

    def run() -> None:
        if outcome.set_running_or_notify_cancel():
            try:
                outcome.set_result(work(*arguments))
            except Exception as error:
                outcome.set_exception(error)

    threading.Thread(target=run, name="aside", daemon=True).start()
    return await asyncio.wrap_future(outcome)
