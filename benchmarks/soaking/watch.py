"""What a service holds, as Linux tells it."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")


class Counts(NamedTuple):
    """What one process has open, and runs."""

    descriptors: int
    threads: int


@dataclass(frozen=True, slots=True)
class Held:
    """Of a service's own process and of all that it started, by their ids."""

    rss_by_process: Mapping[int, int]  # bytes
    by_process: Mapping[int, Counts]

    @property
    def rss_bytes(self) -> int:
        """Of all of them."""
        return sum(self.rss_by_process.values())

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
        names = ("rss_bytes", "descriptors", "threads", "processes")
        return {name: getattr(self, name) for name in names}


def held_by(process_id: int) -> Held:
    """What it holds now. Raises ProcessLookupError when it is gone."""
    if not (PROC / str(process_id)).exists():
        raise ProcessLookupError(f"process {process_id} has ended")
    statuses = {pid: status for pid in descendants(process_id) if (status := _status(pid))}
    rss = {pid: int(status.get("VmRSS", "0 kB").split()[0]) * 1024 for pid, status in statuses.items()}
    counts = {pid: Counts(_entries(pid, "fd"), int(status.get("Threads", 0))) for pid, status in statuses.items()}
    return Held(rss, counts)


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


def _entries(process_id: int, folder: str) -> int:
    """0 where it has just ended, or is not ours to look into."""
    try:
        return sum(1 for _ in (PROC / str(process_id) / folder).iterdir())
    except OSError:
        return 0
