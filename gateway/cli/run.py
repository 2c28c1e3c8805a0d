"""Runs a command: signals cancel it, failures are explained, and both become exit codes."""

import asyncio
import errno
import io
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NoReturn, TextIO, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from gateway.cli.failure import Failure, show_failure
from gateway.cli.sanitise import printable

Result = TypeVar("Result")

INTERRUPTED_STATUS = 130  # 128 + SIGINT, as shells have it
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(slots=True)
class Interrupted(Exception):
    """SIGINT or SIGTERM came and the command was cancelled. `forced`: a second one came while it was cleaning up."""

    forced: bool


class _PlainConsole(Console):
    def on_broken_pipe(self) -> None:
        """Lets the error through, where rich would end the process from within a task."""
        raise  # it is called where the error is being handled


def plain_console(*, stderr: bool = False) -> Console:
    """A console that takes text for text: no markup, no emoji codes, no highlighting."""
    return _PlainConsole(stderr=stderr, markup=False, emoji=False, highlight=False)


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


@contextmanager
def written_out() -> Iterator[None]:
    """Around a whole command, as the last thing that it does: its output is written, or the exit code is 1.

    A reader that has gone (`| head`) is not worth a word, a full disk is. What an old locale has no letter for becomes
    a question mark.
    """
    for stream in _streams():
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        try:
            yield
        finally:
            for stream in _streams():
                stream.flush()
    except OSError as error:
        if not _is_of_output(error):
            raise
        _discard_output()
        if not isinstance(error, BrokenPipeError):
            failure = Failure(f"cannot write the output: {error.strerror}", "Make room where it goes.")
            with suppress(OSError):
                show_failure(failure, plain_console(stderr=True))
        raise SystemExit(1) from None


def _status(
    main: Coroutine[Any, Any, int], debug: bool, as_json: bool, on_interrupt: Callable[[Interrupted], int]
) -> int:
    try:
        return asyncio.run(_supervise(main))
    except Interrupted as interrupted:
        return on_interrupt(interrupted)
    except Exception as error:
        if _is_of_output(error):
            raise
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


def _is_of_output(error: Exception) -> bool:
    """Whether standard output takes no more. Errors of files have a name, or have become a Failure."""
    full = isinstance(error, OSError) and error.errno in _FULL and error.filename is None
    return full or isinstance(error, BrokenPipeError)


def _streams() -> list[TextIO]:
    return [stream for stream in (sys.stdout, sys.stderr) if stream is not None]  # None: it was closed at the start


def _discard_output() -> None:
    """What cannot be written goes nowhere, or Python would try again at exit and complain."""
    for stream in _streams():
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _explained(error: Exception) -> Failure:
    if isinstance(error, Failure):
        return error
    return Failure(
        f"{type(error).__name__}: {error}", "That should not happen; run it again with --debug for the traceback."
    )


def _say_cancelled(_interrupted: Interrupted) -> int:
    plain_console(stderr=True).print(Text("cancelled"))
    return INTERRUPTED_STATUS
