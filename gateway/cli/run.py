"""Runs a command: signals cancel it, failures are explained, and both become exit codes."""

import asyncio
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from gateway.cli.failure import Failure, show_failure
from gateway.cli.sanitise import printable

Result = TypeVar("Result")

INTERRUPTED_STATUS = 130  # 128 + SIGINT, as shells have it


@dataclass(slots=True)
class Interrupted(Exception):
    """SIGINT or SIGTERM came and the command was cancelled. `forced`: a second one came while it was cleaning up."""

    forced: bool


def plain_console(*, stderr: bool = False) -> Console:
    """A console that takes text for text: no markup, no emoji codes, no highlighting."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def say(console: Console, text: str | Text) -> None:
    """Prints a paragraph: wrapped between words on a terminal, one line elsewhere."""
    console.print(text, soft_wrap=not console.is_terminal)


def run(
    main: Coroutine[Any, Any, int],
    *,
    debug: bool,
    as_json: bool = False,
    on_interrupt: Callable[[Interrupted], int] | None = None,
) -> NoReturn:
    """Runs `main` and exits with the code that it returns.

    A signal cancels it; `on_interrupt` then chooses the exit code, by default 130 after a short line. With `as_json` a
    failure is an object on standard output too.
    """
    raise typer.Exit(_status(main, debug, as_json, on_interrupt or _say_cancelled))


def _status(
    main: Coroutine[Any, Any, int], debug: bool, as_json: bool, on_interrupt: Callable[[Interrupted], int]
) -> int:
    try:
        return asyncio.run(_supervise(main))
    except Interrupted as interrupted:
        return on_interrupt(interrupted)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the flush at exit finds an open pipe
        return 1
    except Exception as error:
        if debug:
            print(printable(traceback.format_exc()), end="", file=sys.stderr)
        failure = _explained(error)
        if as_json:
            print(json.dumps({"error": failure.to_json()}), flush=True)
        show_failure(failure, plain_console(stderr=True))
        return 1


async def _supervise(main: Coroutine[Any, Any, Result]) -> Result:
    """Awaits `main`; each SIGINT and SIGTERM cancels it once more."""
    task = asyncio.ensure_future(main)
    signals: list[int] = []

    def on_signal(number: int) -> None:
        signals.append(number)
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, on_signal, number)
    try:
        return await task
    except asyncio.CancelledError:
        raise Interrupted(forced=len(signals) > 1) from None


def _explained(error: Exception) -> Failure:
    if isinstance(error, Failure):
        return error
    return Failure(
        f"{type(error).__name__}: {error}", "That should not happen; run it again with --debug for the traceback."
    )


def _say_cancelled(_interrupted: Interrupted) -> int:
    plain_console(stderr=True).print(Text("cancelled"))
    return INTERRUPTED_STATUS
