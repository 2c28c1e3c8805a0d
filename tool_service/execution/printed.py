"""What a worker's process prints, as lines of the log: so much of it for each call, and a notice of the rest."""

import asyncio
import contextlib
import os

import structlog

MAX_PRINTED_BYTES = 64 << 10
MAX_LINE_CHARS = 2_000
_READ_BYTES = 64 << 10
_DRAIN_READS = 16  # as much as a pipe can hold

log = structlog.get_logger()


class Printed:
    """Reads the pipe `descriptor`, and closes it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._tool = ""
        self._left = 0
        self._line = b""
        os.set_blocking(descriptor, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(descriptor, self._read)
        self._open = True

    def begin(self, tool: str) -> None:
        """What comes now is printed by `tool`."""
        self.end()
        self._tool, self._left = tool, MAX_PRINTED_BYTES

    def end(self) -> None:
        """Reads what is there."""
        for _ in range(_DRAIN_READS):
            if not self._read():
                break
        self._flush()

    def close(self) -> None:
        """Reads what is there, and no more."""
        self.end()
        if self._open:
            self._open = False
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)

    def _read(self) -> bool:
        """Takes what is there; false for nothing."""
        if not self._open:
            return False
        with contextlib.suppress(BlockingIOError):
            if data := os.read(self._descriptor, _READ_BYTES):
                self._take(data)
                return True
            self._loop.remove_reader(self._descriptor)  # its other end is closed
        return False

    def _take(self, data: bytes) -> None:
        if self._left <= 0:
            return
        self._line += data[: self._left]
        self._left -= len(data)
        *lines, self._line = self._line.split(b"\n")
        for line in lines:
            self._say(line)
        if self._left <= 0:
            self._flush()
            log.warning("printed too much: the rest is left out", tool=self._tool, limit=MAX_PRINTED_BYTES)

    def _flush(self) -> None:
        line, self._line = self._line, b""
        if line:
            self._say(line)

    def _say(self, line: bytes) -> None:
        log.info("printed", tool=self._tool, text=line.decode("utf-8", "replace")[:MAX_LINE_CHARS])
