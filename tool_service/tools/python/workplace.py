"""The folder of one interpreter: its home, its working directory, its temporary files. Made empty, removed whole."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from tool_service.tools.python.font_cache import copy_font_cache
from tool_service.tools.python.users import release_user, take_user

PREFIX = "conveyor-python-"
MPLBACKEND = "module://_conveyor_figures"  # see gallery.py


class Workplace:
    """A new folder for one user alone. Whoever makes it removes it.

    `user`: whose it is, and who shall run there; None for the caller's own.
    """

    def __init__(self, font_cache: Path, has_own_user: bool = True) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
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
            "MPLBACKEND": MPLBACKEND,
            "MPLCONFIGDIR": str(self.matplotlib),
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }

    def remove(self) -> None:
        """Removes everything, also what was made unreadable. Blocks as long as there are files."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.folder.exists():
            self._open_up()
            shutil.rmtree(self.folder, ignore_errors=True)
        release_user(self.user)

    def _open_up(self) -> None:
        for parent, names, _ in os.walk(self.folder):
            for name in names:
                path = Path(parent, name)
                if not path.is_symlink():
                    with contextlib.suppress(OSError):
                        path.chmod(0o700)
