"""Has a program end when its parent does, however that ends: `python leash.py PARENT_PID SIGNAL PROGRAM ARGUMENT…`.

Run as a script after the exec, because code between fork and exec is unsafe once there are threads; it then becomes the
program. On Linux the kernel sends it the signal when the parent dies, or the thread that started it (prctl(2),
PR_SET_PDEATHSIG): start it from the thread that lives as long as the process. Elsewhere the program is only stopped by
a parent that ends in order.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def leashed(number: signal.Signals, *command: str) -> tuple[str, ...]:
    """The command that runs `command`, a program's path and its arguments, as a child of this process that gets the
    signal `number` when this process ends."""
    return (sys.executable, "-I", "-S", __file__, str(os.getpid()), str(int(number)), *command)


def main() -> None:
    """Ties this process to its parent and executes the program."""
    parent, number, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number))
    if os.getppid() != int(parent):
        sys.exit("the parent is gone")
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
