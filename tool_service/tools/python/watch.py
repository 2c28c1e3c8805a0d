"""A watch on interpreters: limits of a whole process group and its folder, which the kernel's limits do not cover.

The kernel limits each process. What the group has together is looked at a few times a second, in a thread: processes
and threads, memory, and what is in the folder or was in it and is still open or mapped. Past a limit the group is
killed. Every look is bounded: it stops counting where a limit is passed.
"""

import contextlib
import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

INTERVAL_SECONDS = 0.25
MOST_OF_THE_TIME = 0.1  # that looking may take of a processor: then the next look comes later, but not later than
LONGEST_PAUSE_SECONDS = 1.0
MOST_DEEP = 100  # folders in folders, and the length of a path that can be looked at
LONGEST_PATH = 3000
PROC = Path("/proc")
PAGE_FIELDS = ("RssAnon:", "RssShmem:", "VmSwap:")
PROPORTIONAL_FIELDS = ("Pss_Anon:", "Pss_Shmem:", "SwapPss:")
BLOCK_BYTES = 512

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """What a process group may have. `task_count`: processes and threads; `folder_bytes`: as they lie on the disk."""

    task_count: int
    memory_bytes: int
    folder_bytes: int
    folder_files: int


@dataclass(slots=True)
class Watched:
    """One group. `breach` says which limit it has passed, in a sentence for the model; empty as long as it has not."""

    group: int
    folder: Path
    limits: GroupLimits
    kill: Callable[[], None]
    breach: str = ""
    pids: list[int] = field(default_factory=list)
    task_count: int = 0


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
            started = time.thread_time()
            self._look(watched)
            cost = time.thread_time() - started  # of our own: a bomb that keeps the machine busy shall buy no time
            pause = min(max(INTERVAL_SECONDS, cost / MOST_OF_THE_TIME), LONGEST_PAUSE_SECONDS)

    def _look(self, watched: list[Watched]) -> None:
        _find_processes({each.group: each for each in watched})
        for each in watched:
            if breach := _told_breach_of(each):
                each.breach = breach
                each.kill()


def _told_breach_of(watched: Watched) -> str:
    """As `breach_of`; what cannot be looked at is not let go on."""
    try:
        return breach_of(watched)
    except Exception:
        _log.exception("process group %d cannot be watched", watched.group)
        return "it could not be watched."


def breach_of(watched: Watched) -> str:
    """Which limit the group has passed; empty if none. Needs `pids` and `task_count`."""
    limits = watched.limits
    if watched.task_count > limits.task_count:
        return f"it had more than {limits.task_count} processes and threads."
    if _exceeds(map(_resident, watched.pids), limits.memory_bytes) and _exceeds(
        map(_proportional, watched.pids), limits.memory_bytes
    ):
        return f"its processes used more than {limits.memory_bytes >> 20} MiB of memory together."
    try:
        file_count, byte_count = _usage(watched)
    except _TooDeep:
        return f"its folders were nested more than {MOST_DEEP} deep."
    if file_count > limits.folder_files:
        return f"it had more than {limits.folder_files} files."
    if byte_count > limits.folder_bytes:
        return f"its files took more than {limits.folder_bytes >> 20} MiB together."
    return ""


class _TooDeep(Exception):
    """A folder lies where it could not be looked at."""


def _find_processes(groups: dict[int, Watched]) -> None:
    for each in groups.values():
        each.pids, each.task_count = [], 0
    for name in os.listdir(PROC):  # noqa: PTH208 - names are wanted, and this runs all the time
        if name.isdigit() and (fields := _stat_fields(name)):
            watched = groups.get(int(fields[2]))  # the group: field 5 of proc_pid_stat(5)
            if watched is not None:
                watched.pids.append(int(name))
                watched.task_count += int(fields[17])  # threads: field 20


def _stat_fields(pid: str) -> list[bytes]:
    """What follows the program's name."""
    return _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()


def _read(path: str) -> bytes:
    """A file of a process; empty if it has ended or must not be looked at."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        pieces = []
        while piece := os.read(descriptor, 1 << 16):
            pieces.append(piece)
        return b"".join(pieces)
    except OSError:
        return b"".join(pieces)
    finally:
        os.close(descriptor)


def _exceeds(numbers: Iterable[int], limit: int) -> bool:
    """Whether they are more than a limit together. Stops where that is clear."""
    total = 0
    return any((total := total + number) > limit for number in numbers)


def _resident(pid: int) -> int:
    """Bytes of memory. Pages that processes share since a fork count for each of them."""
    return _sum_of_fields(pid, "status", PAGE_FIELDS)


def _proportional(pid: int) -> int:
    """The same, but what is shared is divided among those who share it; dearer to ask for."""
    return _sum_of_fields(pid, "smaps_rollup", PROPORTIONAL_FIELDS) or _resident(pid)


def _sum_of_fields(pid: int, file: str, names: tuple[str, ...]) -> int:
    lines = _read(f"/proc/{pid}/{file}").decode("ascii", "replace").splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(names))


def _usage(watched: Watched) -> tuple[int, int]:
    """Files and bytes of the folder, and of what is gone from it but still there for a process."""
    limits = watched.limits
    file_count = byte_count = 0
    seen: set[tuple[int, int]] = set()
    for status in _statuses(watched):
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        file_count += 1
        byte_count += status.st_blocks * BLOCK_BYTES
        if file_count > limits.folder_files or byte_count > limits.folder_bytes:
            break
    return file_count, byte_count


def _statuses(watched: Watched) -> Iterator[os.stat_result]:
    for pid in watched.pids:
        yield from _open_but_gone(pid)
        yield from _mapped_but_gone(pid, watched.folder)
    yield from _beneath(watched.folder)


def _beneath(folder: Path) -> Iterator[os.stat_result]:
    pending = [(str(folder), 0)]
    while pending:
        path, depth = pending.pop()
        if depth > MOST_DEEP or len(path) > LONGEST_PATH:
            raise _TooDeep
        with contextlib.suppress(OSError), _entries(path) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    yield entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        pending.append((entry.path, depth + 1))


def _entries(path: str) -> "os._ScandirIterator[str]":
    try:
        return os.scandir(path)
    except PermissionError:  # made so as not to be read, but ours
        os.chmod(path, 0o700)  # noqa: PTH101 - as above
        return os.scandir(path)


def _open_but_gone(pid: int) -> Iterator[os.stat_result]:
    with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                status = entry.stat()
                if status.st_nlink == 0 and stat.S_ISREG(status.st_mode):
                    yield status


def _mapped_but_gone(pid: int, folder: Path) -> Iterator[os.stat_result]:
    maps = _read(f"/proc/{pid}/maps")
    if b"(deleted)" not in maps:
        return
    start = str(folder).encode()
    for line in maps.splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5].startswith(start) and fields[5].endswith(b" (deleted)"):
            with contextlib.suppress(OSError):
                yield os.stat(f"/proc/{pid}/map_files/{_plain(fields[0])}")  # noqa: PTH116 - as above


def _plain(span: bytes) -> str:
    """An address range as map_files names it: without leading zeros."""
    return "-".join(f"{int(end, 16):x}" for end in span.split(b"-"))


the_watch = Watch()
