"""The folder of one interpreter: its home, its working directory, its temporary files. Made empty, removed whole.

Whoever made a folder holds a lock on it, which goes with the process: a folder that nobody has locked was left behind
by a service that was killed, and `sweep` removes it.
"""

import contextlib
import fcntl
import itertools
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from tool_service.tools.python import frames
from tool_service.tools.python.font_cache import copy_font_cache
from tool_service.tools.python.users import may_hand_out, release_user, take_user

PREFIX = "conveyor-python-"


class Workplace:
    """A new folder for one user alone. Whoever makes it removes it.

    `user`: whose it is, and who shall run there; None for the caller's own.
    """

    def __init__(self, font_cache: Path, has_own_user: bool = True) -> None:
        self.folder, self._lock = _locked_folder()
        for part in (self.home, self.work, self.temporary, self.matplotlib):
            part.mkdir(mode=0o700)
        copy_font_cache(font_cache, self.matplotlib)
        self.user = take_user() if has_own_user else None
        if self.user is not None:
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, self.user, self.user)

    @property
    def home(self) -> Path:
        """HOME."""
        return self.folder / "home"

    @property
    def work(self) -> Path:
        """The working directory."""
        return self.folder / "work"

    @property
    def temporary(self) -> Path:
        """TMPDIR."""
        return self.folder / "tmp"

    @property
    def matplotlib(self) -> Path:
        """MPLCONFIGDIR: settings and caches of matplotlib."""
        return self.folder / "matplotlib"

    def environment(self) -> dict[str, str]:
        """All that the interpreter sees of an environment."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "LANG": "C.UTF-8",
            "MPLBACKEND": frames.MPLBACKEND,
            "MPLCONFIGDIR": str(self.matplotlib),
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }

    def remove(self) -> None:
        """Removes everything, also what was made unreadable. Blocks as long as there are files."""
        with contextlib.suppress(RecursionError):
            shutil.rmtree(self.folder, ignore_errors=True)
        if self.folder.exists():
            remove_tree(self.folder)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        release_user(self.user)


def sweep() -> list[Path]:
    """Removes the folders that killed services have left; returns them. Blocks as long as there are files."""
    swept = []
    for folder in Path(tempfile.gettempdir()).resolve().glob(f"{PREFIX}*"):
        lock = _lock(folder) if is_ours(folder) else -1
        if lock >= 0:
            with contextlib.suppress(RecursionError):
                shutil.rmtree(folder, ignore_errors=True)
            if folder.exists():
                remove_tree(folder)
            os.close(lock)
            swept.append(folder)
    return swept


def is_ours(folder: Path) -> bool:
    """Whether a folder is of this user, or of one that it hands out."""
    with contextlib.suppress(OSError):
        owner = folder.lstat().st_uid
        return owner == os.geteuid() or may_hand_out(owner)
    return False


def _locked_folder() -> tuple[Path, int]:
    """A new folder, and the lock on it; another service that sweeps just now may have taken the first for left."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
        lock = _lock(folder)
        if lock >= 0 and folder.exists():
            return folder, lock
        if lock >= 0:
            os.close(lock)


def _lock(folder: Path) -> int:
    """A descriptor that holds the lock; -1 if another has it, or there is no such folder."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return -1
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return -1
    return descriptor


def remove_tree(folder: Path) -> None:
    """Removes a folder in which nothing runs any more, however deep and closed: what lies deeper is moved up first.

    Neither the length of a path, nor open descriptors, nor recursion set a limit, as they do for `shutil.rmtree`. What
    cannot be removed is left.
    """
    with contextlib.suppress(OSError):
        for number in itertools.count():
            if not _flatten(folder, f"{secrets.token_hex(8)}-{number}"):
                break
        folder.rmdir()


def _flatten(folder: Path, prefix: str) -> bool:
    """Removes what lies in a folder, but moves the folders within its folders up into it; whether there are any."""
    count = 0
    for inner in _emptied(folder):
        for innermost in _emptied(inner):
            innermost.rename(folder / f"{prefix}-{count}")
            count += 1
        inner.rmdir()
    return count > 0


def _emptied(folder: Path) -> list[Path]:
    """Removes the files; gives the folders, made such that they can be emptied and moved."""
    folders = []
    for path in folder.iterdir():
        if path.is_symlink() or not path.is_dir():
            path.unlink()
        else:
            path.chmod(0o700)
            folders.append(path)
    return folders
