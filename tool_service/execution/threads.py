"""Runs plain functions in threads of their own.

A thread cannot be stopped from outside. So each call has its own, which nobody waits for: one that hangs takes no place
from others, and never keeps the service from ending.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any


def start_thread(function: Callable[..., Any], arguments: dict[str, Any]) -> asyncio.Future[Any]:
    """Calls `function(**arguments)` in a new daemon thread; the future has what it returned or raised."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Any] = loop.create_future()

    def work() -> None:
        try:
            value, error = function(**arguments), None
        except BaseException as raised:
            value, error = None, raised
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, outcome, value, error)

    threading.Thread(target=work, name=f"tool {getattr(function, '__name__', '')}", daemon=True).start()
    return outcome


def _settle(outcome: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if outcome.done():
        return
    if error is None:
        outcome.set_result(value)
    elif isinstance(error, Exception):
        outcome.set_exception(error)
    else:  # SystemExit and its like would end the loop that hears of them
        outcome.set_exception(RuntimeError(f"{type(error).__name__}: {error}"))
