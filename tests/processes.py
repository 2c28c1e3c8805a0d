"""Processes that tests start, look for, and wait to see ended."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

SECONDS = 30.0  # the longest wait: so long that only what never comes takes it


def is_running(pid: int) -> bool:
    """Whether a process is there, and with any of its threads more than what is left of one that has ended.

    Its files are closed with the last of them.
    """
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return False
    return any(_is_alive(thread) for thread in threads)


def _is_alive(thread: Path) -> bool:
    try:
        return (thread / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid: int | str = "self") -> set[int]:
    """The child processes of a process; without one, of ours."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            found |= set(map(int, (task / "children").read_text().split()))
    return found


def of_group(group: int) -> list[int]:
    """The processes of a process group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if int(stat.read_text().rpartition(")")[2].split()[2]) == group:
                found.append(int(stat.parent.name))
    return found


def command_line(pid: int) -> str:
    """What a process was started with, words parted by NUL; nothing if it is gone."""
    try:
        return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return ""


def with_open(path: str, *texts: str) -> list[int]:
    """Those of them that have a file open."""
    return [pid for pid in with_command(*texts) if path in map(str, _open_files(pid))]


def _open_files(pid: int) -> list[Path]:
    try:
        return [descriptor.readlink() for descriptor in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return []


def with_command(*texts: str) -> list[int]:
    """The processes whose command line holds each of some texts."""
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [pid for pid in pids if all(text in command_line(pid) for text in texts)]


async def until(condition: Callable[[], object], seconds: float = SECONDS) -> None:
    """Waits for what happens elsewhere, in another process or thread, and tells nobody."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.005)


async def ended(pids: Iterable[int], seconds: float = SECONDS) -> None:
    """Waits until processes that are not our children have ended; fails naming those that have not."""
    waited_for = set(pids)
    try:
        await until(lambda: not any(map(is_running, waited_for)), seconds)
    except TimeoutError:
        left = {pid: command_line(pid).replace("\0", " ") for pid in waited_for if is_running(pid)}
        raise AssertionError(f"still running after {seconds} s: {left}") from None


async def told(file: Path) -> list[int]:
    """The process ids that another process writes into a file, which it must put there whole."""
    await until(file.exists)
    return [int(pid) for pid in file.read_text().split()]
