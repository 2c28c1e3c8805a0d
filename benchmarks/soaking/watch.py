"""What a service holds, as Linux tells it."""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Held:
    """`rss_bytes` of the service's own process; the rest of it and of all processes that it started."""

    rss_bytes: int
    tree_rss_bytes: int
    descriptors: int
    threads: int
    processes: int

    def as_json(self) -> dict[str, int]:
        """By name."""
        return asdict(self)


def held_by(process_id: int) -> Held:
    """What it holds now. Raises ProcessLookupError when it is gone."""
    if not (PROC / str(process_id)).exists():
        raise ProcessLookupError(f"process {process_id} has ended")
    statuses = {pid: status for pid in descendants(process_id) if (status := _status(pid))}
    rss = {pid: int(status.get("VmRSS", "0 kB").split()[0]) * 1024 for pid, status in statuses.items()}
    return Held(
        rss.get(process_id, 0),
        sum(rss.values()),
        sum(_entries(pid, "fd") for pid in statuses),
        sum(int(status.get("Threads", 0)) for status in statuses.values()),
        len(statuses),
    )


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
