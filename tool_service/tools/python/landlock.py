"""Landlock: which files a process and its children can reach, whoever they are. See landlock(7).

The kernel's versions differ in what can be held (its "ABI"): 1 files, 2 moving between folders, 3 cutting files short,
4 TCP, 5 device controls, 6 signals and abstract Unix sockets. What is older than a right does without it; without files
there is no fence.

Nothing here needs privileges. Not held by any version: looking at a file's status, its mode, owner and times; see
`seccomp.py`.
"""

import ctypes
import functools
import os
import stat
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING or __package__:
    from tool_service.tools.python import kernel
else:  # a plain file beside this one: see zygote.py
    import kernel

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on every machine
VERSION = 1
PATH_BENEATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
MAKE_CHAR, MAKE_SOCK, MAKE_BLOCK = 1 << 6, 1 << 9, 1 << 11
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15
READ = EXECUTE | READ_FILE | READ_DIR
FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
TCP = 0b11  # bind and connect
SCOPES = 0b11  # abstract Unix sockets and signals

# The highest right of each ABI: all below it exist too
RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
TRUNCATION_ABI, SIGNAL_ABI, NETWORK_ABI = 3, 6, 4

Grant = tuple[int, int]  # an open descriptor of a file or folder, and the rights beneath it


@functools.cache
def abi() -> int:
    """The kernel's version of Landlock; 0 if it has none or it is switched off."""
    return max(0, _syscall(CREATE_RULESET, None, 0, VERSION)) if sys.platform == "linux" else 0


def what_is_missing() -> str:
    """Why this machine has no fence; empty if it has."""
    return "" if abi() else "the kernel has no Landlock, or it is switched off"


def all_rights() -> int:
    """Every right over files that this kernel knows and this file does."""
    version = abi()
    return RIGHTS[min(version, max(RIGHTS))] if version else 0


def own_rights() -> int:
    """What a process may do in its own folder: everything but devices and sockets with a name."""
    return all_rights() & ~(MAKE_CHAR | MAKE_BLOCK | MAKE_SOCK | IOCTL_DEV)


def grant(path: Path | str, rights: int) -> list[Grant]:
    """Opens a path for `fence`; nothing if it is not there."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        return [(descriptor, rights & all_rights() & (-1 if is_folder else FILE_RIGHTS))]
    return []


def fence(grants: Iterable[Grant]) -> None:
    """Leaves this process with these rights only, for good. Raises OSError. No new privileges must be had already."""
    ruleset = _checked(_syscall(CREATE_RULESET, *_ruleset_attributes(abi()), 0))
    try:
        for descriptor, rights in grants:
            rule = struct.pack("=Qi", rights, descriptor)
            _checked(_syscall(ADD_RULE, ruleset, PATH_BENEATH, rule, 0))
        _checked(_syscall(RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _ruleset_attributes(version: int) -> tuple[bytes, int]:
    """The structure as this version knows it, and its length."""
    attributes = struct.pack("=Q", all_rights())
    if version >= NETWORK_ABI:
        attributes += struct.pack("=Q", TCP)
    if version >= SIGNAL_ABI:
        attributes += struct.pack("=Q", SCOPES)
    return attributes, len(attributes)


def _syscall(number: int, *arguments: object) -> int:
    converted = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return int(kernel.libc.syscall(ctypes.c_long(number), *converted))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock: {os.strerror(number)}")
    return result
