"""Ties a process group to this process: the kernel kills the group when the process ends, however it ends.

Without it a service and a fork server that are killed at once would leave an interpreter's grandchildren behind.
"""

import contextlib
import fcntl
import os
import signal
import sys

F_SETSIG = 10  # fcntl(2), Linux


class Leash:
    """A pipe of which this process alone has both ends. Whichever is closed first has the other one's owner killed.

    The owner is the group: `F_SETSIG` makes SIGKILL of the signal that tells of a change. Nothing in the group has a
    part in this, so nothing there can undo it.
    """

    def __init__(self, group: int) -> None:
        self._ends = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        if sys.platform != "linux":
            return
        for end in self._ends:
            with contextlib.suppress(ProcessLookupError):  # it has ended
                fcntl.fcntl(end, fcntl.F_SETOWN, -group)
                fcntl.fcntl(end, F_SETSIG, signal.SIGKILL)
                fcntl.fcntl(end, fcntl.F_SETFL, fcntl.fcntl(end, fcntl.F_GETFL) | os.O_ASYNC)

    def release(self) -> None:
        """Kills what is left of the group."""
        for end in self._ends:
            os.close(end)
        self._ends = (-1, -1)
