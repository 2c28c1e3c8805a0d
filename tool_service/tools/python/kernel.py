"""The C library, for what the kernel is asked by its numbers.

The service imports it, and the fork server's process as a plain file: see zygote.py.
"""

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)

PR_SET_PDEATHSIG = 1


def prctl(option: int, first: int = 0, second: int = 0) -> int:
    """See prctl(2). Raises OSError."""
    result = int(libc.prctl(option, ctypes.c_ulong(first), ctypes.c_ulong(second), 0, 0))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}) failed: {os.strerror(number)}")
    return result
