"""Locks between worker processes (`multiprocessing`) without named semaphores.

Python makes its own in /dev/shm, which every process of the machine shares; an interpreter has no access to it. These
are event descriptors (eventfd), which only the processes have that inherit them. They stand in for
`_multiprocessing.SemLock`, whose interface this is; like macOS they cannot tell their value.
"""

import os
import select
import threading
import time
from contextlib import suppress
from typing import Self

RECURSIVE = 0


class SemLock:
    """A lock, recursive or not, or a semaphore."""

    SEM_VALUE_MAX = (1 << 31) - 1

    def __init__(self, kind: int, value: int, maxvalue: int, name: str, unlink: bool) -> None:
        self.kind = kind
        self.maxvalue = maxvalue
        self.name = None  # nothing to unlink
        self.handle = os.eventfd(value, os.EFD_SEMAPHORE | os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._held = 0
        self._holder = 0

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Whether it was got."""
        if self.kind == RECURSIVE and self._is_mine():
            self._held += 1
            return True
        deadline = None if timeout is None else time.monotonic() + max(0.0, timeout)
        while not self._take():
            if not block or not self._wait(deadline):
                return False
        self._held, self._holder = self._held + 1, threading.get_ident()
        return True

    def release(self) -> None:
        """Lets another have it. Raises AssertionError or ValueError as Python's own does."""
        if self.kind == RECURSIVE and not self._is_mine():
            raise AssertionError("attempt to release recursive lock not owned by thread")
        if self.maxvalue == 1 and self._held <= 1 and not self._is_zero():
            raise ValueError("semaphore or lock released too many times")
        self._held -= 1
        if self.kind != RECURSIVE or self._held == 0:
            os.eventfd_write(self.handle, 1)

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def __del__(self) -> None:
        with suppress(OSError, AttributeError):
            os.close(self.handle)

    @classmethod
    def _rebuild(cls, *_: object) -> Self:
        raise RuntimeError("locks go to worker processes by inheritance only: use the start method 'fork'")

    def _count(self) -> int:
        return self._held

    def _is_mine(self) -> bool:
        return self._held > 0 and self._holder == threading.get_ident()

    def _is_zero(self) -> bool:
        return not self._wait(time.monotonic())

    def _get_value(self) -> int:
        raise NotImplementedError

    def _after_fork(self) -> None:
        self._held = 0

    def _take(self) -> bool:
        try:
            os.eventfd_read(self.handle)
        except BlockingIOError:
            return False
        return True

    def _wait(self, deadline: float | None) -> bool:
        """Whether it can be had before the deadline."""
        poll = select.poll()
        poll.register(self.handle, select.POLLIN)
        return bool(poll.poll(None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000))
