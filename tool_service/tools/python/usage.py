"""What a process group and its folder have, as far as the kernel tells, without trusting anything in them.

What cannot be looked at is not taken for nothing: it raises `Unseen`. No look reads more than so many bytes of /proc,
nor works longer than so many seconds, and none follows a link or a name that the group may have changed meanwhile.
"""

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tool_service.tools.python.seccomp import LARGEST_SHARED_BYTES

MOST_DEEP = 100  # folders in folders
PAGE_FIELDS = ("RssAnon:", "RssShmem:", "VmSwap:", "VmPTE:")
PROPORTIONAL_FIELDS = ("Pss_Anon:", "Pss_Shmem:", "SwapPss:")
BLOCK_BYTES = 512
CHUNK_BYTES = 1 << 18
STATUS_BYTES = 1 << 16
MAPS_BYTES = 2 << 20  # of one process: ten times what one with pandas and matplotlib has
GROUP_BYTES = 24 << 20  # of all of them
LOOK_SECONDS = 0.5  # of a processor, for one look
SOCKET_BYTES = 320 << 10  # what a socket may have sent and nobody has read: the usual buffer, and a packet more
PIPE_BYTES = 64 << 10
DELETED = re.compile(rb"^(\S+) \S+ \S+ (\S+) (\d+) +(.*) \(deleted\)$", re.MULTILINE)
SHARED_MEMORY = b"/dev/zero"
FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Identity = tuple[int, int]  # device and inode


class Unseen(Exception):
    """Something could not be looked at; the text says what, in a sentence for the model."""


class Budget:
    """What one look may still read, and how long it may work."""

    def __init__(self) -> None:
        self._bytes = GROUP_BYTES
        self._end = time.thread_time() + LOOK_SECONDS

    def spend(self, byte_count: int = 0) -> None:
        """Raises `Unseen` where there is no more."""
        self._bytes -= byte_count
        if self._bytes < 0 or time.thread_time() > self._end:
            raise Unseen("its processes and files were too many to look at.")


@dataclass(slots=True)
class Held:
    """What processes hold besides their own pages, each thing once."""

    files: dict[Identity, int] = field(default_factory=dict)  # that are gone from the folder, and their bytes
    mapped: set[Identity] = field(default_factory=set)  # the same, but nothing tells their sizes
    sockets: set[Identity] = field(default_factory=set)
    pipes: set[Identity] = field(default_factory=set)
    shared_memory: set[Identity] = field(default_factory=set)

    @property
    def memory_bytes(self) -> int:
        """At most, of the kernel's memory and of anonymous memory that is shared."""
        buffers = len(self.sockets) * SOCKET_BYTES + len(self.pipes) * PIPE_BYTES
        return buffers + len(self.shared_memory) * LARGEST_SHARED_BYTES

    @property
    def unseen_file_count(self) -> int:
        """How many files are mapped of which nobody tells the size."""
        return len(self.mapped - self.files.keys())


def held_by(pids: Iterable[int], folder: Path, budget: Budget) -> Held:
    """Looks at the descriptors and mappings of processes. Raises `Unseen`."""
    held = Held()
    for pid in pids:
        _add_open(pid, held, budget)
        _add_mapped(pid, os.fsencode(folder), held, budget)
    return held


def resident(pid: int, budget: Budget) -> int:
    """Bytes of memory. Pages that processes share since a fork count for each of them."""
    return _sum_of_fields(_read(pid, "status", STATUS_BYTES, budget), PAGE_FIELDS)


def proportional(pid: int, budget: Budget) -> int:
    """The same, but what is shared is divided among those who share it; dearer to ask for."""
    return _sum_of_fields(_read(pid, "smaps_rollup", STATUS_BYTES, budget), PROPORTIONAL_FIELDS) or resident(
        pid, budget
    )


def beneath(folder: Path, budget: Budget) -> Iterator[os.stat_result]:
    """Everything in a folder. Raises `Unseen` for what is too deep or closed."""
    yield from _entries(str(folder), None, 0, budget)


def _entries(name: str, parent: int | None, depth: int, budget: Budget) -> Iterator[os.stat_result]:
    if depth > MOST_DEEP:
        raise Unseen(f"its folders were nested more than {MOST_DEEP} deep.")
    try:
        descriptor = os.open(name, FOLDER_FLAGS, dir_fd=parent)
    except PermissionError:
        raise Unseen("it had a folder that cannot be read.") from None
    except (FileNotFoundError, NotADirectoryError):  # it has been removed, or something else is there now
        return
    try:
        folders = []
        with os.scandir(descriptor) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        folders.append(entry.name)
                    yield status
        budget.spend()
        for inner in folders:
            yield from _entries(inner, descriptor, depth + 1, budget)
    finally:
        os.close(descriptor)


def _add_open(pid: int, held: Held, budget: Budget) -> None:
    try:
        with os.scandir(f"/proc/{pid}/fd") as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # it has been closed
                    _add_status(entry.stat(), held)
    except OSError as error:
        _raise_unless_gone(pid, error)
    budget.spend()


def _add_status(status: os.stat_result, held: Held) -> None:
    identity = (status.st_dev, status.st_ino)
    if stat.S_ISSOCK(status.st_mode):
        held.sockets.add(identity)
    elif stat.S_ISFIFO(status.st_mode):
        held.pipes.add(identity)
    elif status.st_nlink == 0 and stat.S_ISREG(status.st_mode):
        held.files[identity] = status.st_blocks * BLOCK_BYTES


def _add_mapped(pid: int, folder: bytes, held: Held, budget: Budget) -> None:
    maps = _read(pid, "maps", MAPS_BYTES, budget)
    if b"(deleted)" not in maps:
        return
    for span, device, inode, path in DELETED.findall(maps):
        major, _, minor = device.partition(b":")
        identity = (os.makedev(int(major, 16), int(minor, 16)), int(inode))
        if path == SHARED_MEMORY:
            held.shared_memory.add(identity)
        elif path.startswith(folder) and identity not in held.mapped:
            held.mapped.add(identity)
            with contextlib.suppress(OSError):
                held.files[identity] = os.stat(_map_file(pid, span)).st_blocks * BLOCK_BYTES  # noqa: PTH116
    budget.spend()


def _map_file(pid: int, span: bytes) -> str:
    """Where only a privileged service may look. The name has an address range without leading zeros."""
    return f"/proc/{pid}/map_files/" + "-".join(f"{int(end, 16):x}" for end in span.split(b"-"))


def _read(pid: int, name: str, most: int, budget: Budget) -> bytes:
    """A file of a process; empty if that has ended. Raises `Unseen` if it must not be read, or is too long."""
    pieces = []
    length = 0
    try:
        descriptor = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            while piece := os.read(descriptor, CHUNK_BYTES):
                pieces.append(piece)
                length += len(piece)
                budget.spend(len(piece))
                if length > most:
                    raise Unseen("one of its processes had too many mappings to look at.")
        finally:
            os.close(descriptor)
    except OSError as error:
        _raise_unless_gone(pid, error)
    return b"".join(pieces)


def _raise_unless_gone(pid: int, error: OSError) -> None:
    """What may not be looked at is no less there."""
    if isinstance(error, PermissionError) and not has_ended(pid):
        raise Unseen("one of its processes could not be looked at.") from None
    if not isinstance(error, (PermissionError, FileNotFoundError, ProcessLookupError)):
        raise error


def stat_fields(path: str) -> list[bytes]:
    """Of a process or thread, what follows its name in `stat`; empty if it is gone. See proc_pid_stat(5)."""
    try:
        descriptor = os.open(f"{path}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return []
    try:
        return os.read(descriptor, CHUNK_BYTES).rpartition(b")")[2].split()
    except ProcessLookupError:
        return []
    finally:
        os.close(descriptor)


def has_ended(pid: int) -> bool:
    """Whether the process or thread is gone, or has only its number left."""
    fields = stat_fields(f"/proc/{pid}")
    return not fields or fields[0] in (b"Z", b"X")


def _sum_of_fields(text: bytes, names: tuple[str, ...]) -> int:
    lines = text.decode("ascii", "replace").splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(names))
