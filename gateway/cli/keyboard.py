"""Single keys from a terminal, while something else is drawn on it."""

import asyncio
import contextlib
import os
import sys
import termios
import tty
from collections.abc import Callable
from typing import Any

_READ_BYTES = 64


class Keyboard:
    """The terminal of standard input. `on_key` hears of each key while it is open; Ctrl-C stays a signal."""

    def __init__(self, on_key: Callable[[str], None]) -> None:
        self._on_key = on_key
        self._descriptor = sys.stdin.fileno()
        self._before: list[Any] | None = None

    def open(self) -> None:
        """Takes keys as they come, unseen. What was typed before is no answer, and is dropped."""
        if self._before is None:
            self._before = termios.tcgetattr(self._descriptor)
            tty.setcbreak(self._descriptor, termios.TCSAFLUSH)
            asyncio.get_running_loop().add_reader(self._descriptor, self._read)
        else:
            termios.tcflush(self._descriptor, termios.TCIFLUSH)

    def close(self) -> None:
        """Gives the terminal back as it was."""
        if self._before is not None:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            with contextlib.suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(self._descriptor, termios.TCSAFLUSH, self._before)
            self._before = None

    def _read(self) -> None:
        try:
            keys = os.read(self._descriptor, _READ_BYTES)
        except OSError:
            keys = b""
        if not keys:  # the terminal is gone
            self.close()
        elif len(keys) == 1:  # more at once is an arrow, or pasted text, and no answer
            self._on_key(keys.decode("ascii", "replace"))
