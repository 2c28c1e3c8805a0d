"""The folder of one interpreter: its home, its working directory, its temporary files. Made empty, removed whole."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from tool_service.tools.python.font_cache import copy_font_cache

PREFIX = "conveyor-python-"


class Workplace:
    """A new folder for the caller alone. Whoever makes it removes it."""

    def __init__(self, font_cache: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        for part in (self.home, self.work, self.temporary, self.matplotlib):
            part.mkdir(mode=0o700)
        copy_font_cache(font_cache, self.matplotlib)

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
            "MPLBACKEND": "Agg",
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

    def _open_up(self) -> None:
        for parent, names, _ in os.walk(self.folder):
            for name in names:
                path = Path(parent, name)
                if not path.is_symlink():
                    with contextlib.suppress(OSError):
                        path.chmod(0o700)
