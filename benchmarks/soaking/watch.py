"""What a service holds, as Linux tells it.

Its memory is what is its own: anonymous and shared pages, and those of them that are swapped out. Pages of files are
the system's, which takes them back and reads them again as it likes: in one run 92 MiB of the model's file left the
decoder at once, and came back in another.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
OWN = ("RssAnon", "RssShmem", "VmSwap")


class Counts(NamedTuple):
    """What one process has open, and runs."""

    descriptors: int
    threads: int


@dataclass(frozen=True, slots=True)
class Held:
    """Of a service's own process and of all that it started, by their ids."""

    memory_by_process: Mapping[int, int]  # bytes
    by_process: Mapping[int, Counts]

    @property
    def memory_bytes(self) -> int:
        """Of all of them."""
        return sum(self.memory_by_process.values())

    @property
    def processes(self) -> int:
        """How many there are."""
        return len(self.by_process)

    @property
    def descriptors(self) -> int:
        """Of all of them."""
        return sum(counts.descriptors for counts in self.by_process.values())

    @property
    def threads(self) -> int:
        """Of all of them."""
        return sum(counts.threads for counts in self.by_process.values())

    def as_json(self) -> dict[str, int]:
        """By name."""
        names = ("memory_bytes", "descriptors", "threads", "processes")
        return {name: getattr(self, name) for name in names}


def held_by(process_id: int) -> Held:
    """What it holds now. Raises ProcessLookupError when it is gone."""
    if not (PROC / str(process_id)).exists():
        raise ProcessLookupError(f"process {process_id} has ended")
    statuses = {pid: status for pid in descendants(process_id) if (status := _status(pid))}
    memory = {pid: sum(_kibibytes(status, name) for name in OWN) * 1024 for pid, status in statuses.items()}
    counts = {pid: Counts(_entries(pid, "fd"), int(status.get("Threads", 0))) for pid, status in statuses.items()}
    return Held(memory, counts)


def descendants(process_id: int) -> Iterator[int]:
    """The process and all that it started, as far as their parents live."""
    yield process_id
    with contextlib.suppress(OSError):
        for task in (PROC / str(process_id) / "task").iterdir():
            for child in (task / "children").read_text().split():
                yield from descendants(int(child))


def _status(process_id: int) -> dict[str, str]:
    """Empty where it has just ended."""
    try:
        lines = (PROC / str(process_id) / "status").read_text().splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _kibibytes(status: Mapping[str, str], name: str) -> int:
    return int(status.get(name, "0 kB").split()[0])


def _entries(process_id: int, folder: str) -> int:
    """0 where it has just ended, or is not ours to look into."""
    try:
        return sum(1 for _ in (PROC / str(process_id) / folder).iterdir())
    except OSError:
        return 0
