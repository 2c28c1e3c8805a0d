"""A watch on interpreters: limits of a whole process group and its folder, which the kernel's limits do not cover.

The kernel limits each process. What the group has together is looked at a few times a second: processes and threads,
CPU time, memory, and what is in the folder or was in it and is still open or mapped. Past a limit the group is killed.

One thread lists the processes of the machine and says which group is due; each group is then looked at in a thread of
its own, so that none waits for another. Every look is bounded (`usage.py`): what cannot be looked at, or not in time,
is killed as well.
"""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tool_service.tools.python import usage
from tool_service.tools.python.privileges import looking_as
from tool_service.tools.python.usage import Budget, Held, Unseen

INTERVAL_SECONDS = 0.25
SHORT_INTERVAL_SECONDS = 0.05  # while files become more
GROWTH = 200  # files, from look to look
MOST_OF_THE_TIME = 0.1  # that looking may take of a processor: then the next look comes later, but not later than
LONGEST_PAUSE_SECONDS = 1.0
LONGEST_LOOK_SECONDS = 5.0  # as time passes: for one that the kernel holds up
MOST_LOOKS = 64  # at a time
PROC = Path("/proc")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")

_log = logging.getLogger(__name__)
_looks = ThreadPoolExecutor(MOST_LOOKS, thread_name_prefix="python-watch")


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """What a process group may have. `task_count`: processes and threads; `folder_bytes`: as they lie on the disk.

    `file_bytes` is what the kernel lets one file have, and what one counts as that is only mapped and gone.
    """

    task_count: int
    memory_bytes: int
    folder_bytes: int
    folder_files: int
    cpu_seconds: int = 1 << 40
    file_bytes: int = 1 << 40


@dataclass(slots=True)
class Watched:
    """One group. `breach` says which limit it has passed, in a sentence for the model; empty as long as it has not.

    `user`: whose its processes are, where that is not the service's.
    """

    group: int
    folder: Path
    limits: GroupLimits
    kill: Callable[[], None]
    user: int | None = None
    breach: str = ""
    pids: list[int] = field(default_factory=list)
    task_count: int = 0
    file_count: int = 0
    cpu_ticks: int = 0
    due: float = 0.0
    looked_at_since: float = 0.0  # 0: not now
    ticks: dict[int, tuple[int, int]] = field(default_factory=dict)  # by process: its own, and of children it reaped


class Watch:
    """Looks at every group that is being watched. Its thread ends when there is none."""

    def __init__(self) -> None:
        self._watched: list[Watched] = []
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()

    def add(self, watched: Watched) -> None:
        """Begins to look at a group."""
        with self._changed:
            self._watched.append(watched)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="python-watch", daemon=True)
                self._thread.start()

    def remove(self, watched: Watched) -> None:
        """Looks at it no more."""
        with self._changed, contextlib.suppress(ValueError):
            self._watched.remove(watched)
            self._changed.notify()

    def _run(self) -> None:
        pause = INTERVAL_SECONDS
        while True:
            with self._changed:
                self._changed.wait_for(lambda: not self._watched, pause)
                if not self._watched:
                    self._thread = None
                    return
                watched = [each for each in self._watched if not each.breach]
            pause = _round(watched)


def _round(watched: list[Watched]) -> float:
    """Has those looked at that are due, and ends those whose look does not end. Returns when the next round is due."""
    now = time.monotonic()
    due = [each for each in watched if not each.looked_at_since and each.due <= now]
    try:
        find_processes({each.group: each for each in due})
        for each in due:
            each.looked_at_since = now
            _looks.submit(_look, each)
    except Exception:
        _log.exception("processes cannot be watched")
        for each in due:
            _end(each, "it could not be watched.")
    for each in watched:
        if each.looked_at_since and now - each.looked_at_since > LONGEST_LOOK_SECONDS:
            _end(each, "it took too long to look at.")
    waits = [each.due - now for each in watched if not each.looked_at_since]
    return min([INTERVAL_SECONDS, *(max(SHORT_INTERVAL_SECONDS, wait) for wait in waits)])


def _look(watched: Watched) -> None:
    """Ends the group if a limit is passed; says when the next look is due."""
    started = time.thread_time()
    file_count = watched.file_count
    if breach := _told_breach_of(watched):
        _end(watched, breach)
    cost = time.thread_time() - started  # of our own: a bomb that keeps the machine busy shall buy no time
    pause = min(max(INTERVAL_SECONDS, cost / MOST_OF_THE_TIME), LONGEST_PAUSE_SECONDS)
    if watched.file_count > file_count + GROWTH:
        pause = SHORT_INTERVAL_SECONDS
    watched.due = time.monotonic() + pause
    watched.looked_at_since = 0.0


def _end(watched: Watched, breach: str) -> None:
    watched.breach = watched.breach or breach
    watched.kill()


def _told_breach_of(watched: Watched) -> str:
    """As `breach_of`; what cannot be looked at is not let go on."""
    try:
        return breach_of(watched)
    except Exception:
        _log.exception("process group %d cannot be watched", watched.group)
        return "it could not be watched."


def breach_of(watched: Watched) -> str:
    """Which limit the group has passed; empty if none. Needs what `find_processes` finds."""
    limits = watched.limits
    if watched.task_count > limits.task_count:
        return f"it had more than {limits.task_count} processes and threads."
    if watched.cpu_ticks > limits.cpu_seconds * TICKS_PER_SECOND:
        return f"its processes used more than {limits.cpu_seconds} seconds of CPU time together."
    try:
        budget = Budget()
        with looking_as(watched.user):
            held = usage.held_by(watched.pids, watched.folder, budget)
            if _has_too_much_memory(watched, held.memory_bytes, budget):
                return f"its processes used more than {limits.memory_bytes >> 20} MiB of memory together."
        return _breach_of_folder(watched, held, budget)
    except Unseen as error:
        return str(error)


def _has_too_much_memory(watched: Watched, held_bytes: int, budget: Budget) -> bool:
    left = watched.limits.memory_bytes - held_bytes
    return left < 0 or all(
        _exceeds((measure(pid, budget) for pid in watched.pids), left)
        for measure in (usage.resident, usage.proportional)
    )


def _breach_of_folder(watched: Watched, held: Held, budget: Budget) -> str:
    limits = watched.limits
    sizes = dict(held.files)
    byte_count = sum(sizes.values()) + held.unseen_file_count * limits.file_bytes
    watched.file_count = len(sizes)
    for status in usage.beneath(watched.folder, budget):
        identity = (status.st_dev, status.st_ino)
        if identity not in sizes:
            sizes[identity] = status.st_blocks * usage.BLOCK_BYTES
            byte_count += sizes[identity]
        if byte_count > limits.folder_bytes or len(sizes) > limits.folder_files:
            break
    watched.file_count = len(sizes)
    if len(sizes) > limits.folder_files:
        return f"it had more than {limits.folder_files} files."
    if byte_count > limits.folder_bytes:
        return f"its files took more than {limits.folder_bytes >> 20} MiB together."
    return ""


def find_processes(groups: dict[int, Watched]) -> None:
    """Finds the processes of groups, their threads and their CPU time."""
    if not groups:
        return
    ticks: dict[int, dict[int, tuple[int, int]]] = {group: {} for group in groups}
    for each in groups.values():
        each.pids, each.task_count = [], 0
    for name in os.listdir(PROC):  # noqa: PTH208 - names are wanted, and this runs all the time
        if name.isdigit() and (fields := usage.stat_fields(f"/proc/{name}")):
            watched = groups.get(int(fields[2]))  # the group: field 5 of proc_pid_stat(5)
            if watched is not None:
                watched.pids += _to_look_at(name, fields)
                watched.task_count += int(fields[17])  # threads: field 20
                own, reaped = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
                ticks[watched.group][int(name)] = own, reaped
    for each in groups.values():
        each.cpu_ticks += _ticks_since(each.ticks, ticks[each.group])
        each.ticks = ticks[each.group]


def _ticks_since(before: dict[int, tuple[int, int]], now: dict[int, tuple[int, int]]) -> int:
    """CPU time between two looks. What a process had that is gone is among what its parent has reaped, or lost."""
    own = sum(ticks - before.get(pid, (0, 0))[0] for pid, (ticks, _) in now.items())
    reaped = sum(ticks - before.get(pid, (0, 0))[1] for pid, (_, ticks) in now.items())
    gone = sum(sum(ticks) for pid, ticks in before.items() if pid not in now)
    return max(0, own) + max(0, reaped - gone)


def _to_look_at(pid: str, fields: list[bytes]) -> list[int]:
    """The process; if its first thread has ended, which shows nothing any more, another one that has not."""
    if fields[0] != b"Z":
        return [int(pid)]
    if int(fields[17]) <= 1:
        return []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        threads = map(int, os.listdir(f"/proc/{pid}/task"))  # noqa: PTH208
        return [thread for thread in threads if not usage.has_ended(thread)][:1]
    return []


def _exceeds(numbers: Iterable[int], limit: int) -> bool:
    """Whether they are more than a limit together. Stops where that is clear."""
    total = 0
    return any((total := total + number) > limit for number in numbers)


the_watch = Watch()
