"""Files that are looked at, to be read again when they have changed."""

import os
from collections.abc import Sequence
from os import PathLike

State = tuple[int, int, int, int] | None


class WatchedFiles:
    """Make it before the files are read: a change while they are read is seen the next time."""

    def __init__(self, paths: Sequence[str | PathLike[str]]) -> None:
        self._paths = paths
        self._seen = self._look()

    def changed(self) -> bool:
        """Whether anything about them is different since this was asked last: also who may read them, for the sake of a
        file that could not be read."""
        before, self._seen = self._seen, self._look()
        return self._seen != before

    def _look(self) -> list[State]:
        return list(map(_state, self._paths))


def _state(path: str | PathLike[str]) -> State:
    try:
        found = os.stat(path)  # noqa: PTH116 - of "" too, which is no file
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
