"""Ends a process with all that descends from it, also what has left its group.

That needs Linux, and a process that adopts its descendants (`adopt_descendants`): else one whose parent has ended is no
longer below it.
"""

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
_ROUNDS = 50


def adopt_descendants() -> None:
    """Makes this process the parent of each of its descendants whose own parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def kill_with_descendants(leader: int) -> None:
    """Kills the leader of a group, the group, and what descends from it. One that has ended is no error."""
    if sys.platform == "linux":
        for pid in _stopped(leader):
            _send(pid, signal.SIGKILL)
    with contextlib.suppress(OSError):
        os.killpg(leader, signal.SIGKILL)


def _stopped(leader: int) -> set[int]:
    """The descendants, none of which can start another any more, nor can the leader."""
    _send(leader, signal.SIGSTOP)
    stopped: set[int] = set()
    for _ in range(_ROUNDS):  # what one starts before it stops is found in the next round
        found = _descendants(leader) - stopped
        if not found:
            break
        for pid in found:
            _send(pid, signal.SIGSTOP)
        stopped |= found
    return stopped


def _descendants(pid: int) -> set[int]:
    found: set[int] = set()
    to_visit = [pid]
    while to_visit:
        children = _children(to_visit.pop()) - found
        found |= children
        to_visit.extend(children)
    return found


def _children(pid: int) -> set[int]:
    children: set[int] = set()
    with contextlib.suppress(OSError):  # it, or a thread of it, has ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                children |= set(map(int, (task / "children").read_text().split()))
    return children


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, number)
