"""Gives up what the service's user may do: capabilities, and where it can, the user itself.

A service that runs as root with the usual capabilities gives every interpreter a user and group of its own, so that
counts of processes, signals and files of one cannot touch another's. As any other user it cannot; the user stays.
"""

import ctypes
import functools
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING or __package__:
    from tool_service.tools.python import kernel
else:  # a plain file beside this one: see zygote.py
    import kernel

PR_SET_KEEPCAPS, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 8, 24, 38, 47
PR_CAP_AMBIENT_RAISE, PR_CAP_AMBIENT_CLEAR_ALL = 2, 4
CAPABILITY_VERSION = 0x2008_0522
LAST_CAPABILITY = 63

CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_KILL, CAP_SETGID, CAP_SETUID = 0, 1, 2, 3, 5, 6, 7
CAP_SYS_PTRACE = 19
NEEDED_TO_CHANGE_USER = (CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_KILL, CAP_SETGID, CAP_SETUID)


def can_change_user() -> bool:
    """Whether this process may start others as users of its choice, and look after their files."""
    return os.geteuid() == 0 and all(_effective() >> number & 1 for number in NEEDED_TO_CHANGE_USER)


@contextmanager
def looking_as(user: int | None) -> Iterator[None]:
    """Has this thread look at that user's processes, which one without CAP_SYS_PTRACE may not do as it is."""
    if user is None or _may_look_at_all():
        yield
        return
    kernel.libc.setfsgid(user)
    kernel.libc.setfsuid(user)
    try:
        yield
    finally:
        kernel.libc.setfsuid(os.geteuid())
        kernel.libc.setfsgid(os.getegid())


@functools.cache
def _may_look_at_all() -> bool:
    return bool(_effective() >> CAP_SYS_PTRACE & 1)


def give_up(user: int | None, paths: list[Path]) -> None:
    """Drops every capability and, unless `user` is None, becomes that user. Raises OSError.

    One is kept where `paths` cannot be entered without it, because Python lies in a folder closed to others: the right
    to read files whatever their modes. The fence (`landlock.py`) says which files those can be.
    """
    kept = CAP_DAC_READ_SEARCH if _effective() >> CAP_DAC_READ_SEARCH & 1 and not _open_to_others(paths) else None
    with suppress(OSError):  # beyond the last that the kernel has, or without the right to
        for number in range(LAST_CAPABILITY + 1):
            if number != kept:
                kernel.prctl(PR_CAPBSET_DROP, number)
    kernel.prctl(PR_SET_KEEPCAPS, 1)
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    _set_capabilities(0 if kept is None else 1 << kept)
    with suppress(OSError):  # a kernel before 4.3 has none
        kernel.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    if kept is not None:
        kernel.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, kept)
    kernel.prctl(PR_SET_NO_NEW_PRIVS, 1)


def _open_to_others(paths: list[Path]) -> bool:
    """Whether every folder on the way to these files lets anyone through."""
    return all(folder.stat().st_mode & 1 for folder in {parent for path in paths for parent in path.parents})


def _effective() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), 0)


def _set_capabilities(wanted: int) -> None:
    """Effective, permitted and inheritable ones, each in two words of 32 bits."""
    low, high = wanted & 0xFFFF_FFFF, wanted >> 32
    if (
        kernel.libc.capset(struct.pack("Ii", CAPABILITY_VERSION, 0), struct.pack("6I", low, low, low, high, high, high))
        != 0
    ):
        raise OSError(ctypes.get_errno(), "capset failed")
