"""Becomes another program that ends when its parent does: `python leash.py PARENT_PID PROGRAM ARGUMENT…`.

Run as a script after the exec, because code between fork and exec is unsafe once there are threads. On Linux the kernel
sends SIGTERM to the program when the parent dies in whatever way (prctl(2), PR_SET_PDEATHSIG); elsewhere the program is
only stopped by a parent that ends in order.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ties this process to its parent and executes the program."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the parent is gone")
    os.execv(sys.argv[2], sys.argv[2:])


main()
