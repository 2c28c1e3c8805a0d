"""Which files every interpreter may read and execute: Python, its packages, the machine's programs and libraries.

Not among them: /proc, /home, /root, most of /etc, /var, /run, and the sources of Conveyor, wherever they are installed.
"""

import functools
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

TREES = (
    *("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib32", "/usr/lib64"),
    *("/usr/libexec", "/usr/share", "/usr/local/bin", "/usr/local/lib", "/usr/local/share", "/etc/fonts"),
)
FILES = (
    *("/etc/ld.so.cache", "/etc/localtime", "/etc/timezone", "/etc/mime.types", "/etc/os-release"),
    *("/etc/ssl/openssl.cnf", "/sys/devices/system/cpu/online"),
)
# not /dev/zero: mapped, it is memory that nobody counts
DEVICES = ("/dev/null", "/dev/full", "/dev/random", "/dev/urandom")

PROJECT = Path(__file__).resolve().parents[3]  # what holds tool_service: a checkout, or site-packages
OWN_PACKAGES = ("protos", "tool_service", "gateway", "decoder_service")


def readable(project: Path = PROJECT) -> Iterator[tuple[Path, bool]]:
    """Real paths, and whether only names may be seen there instead of all that is beneath."""
    hidden = [project / name for name in OWN_PACKAGES]
    for path in _outermost([*map(Path, TREES + FILES), *_python_paths(project)]):
        yield from _without(path, hidden)


@functools.cache
def needed() -> list[Path]:
    """Files that the interpreter could not do without: one of each place that holds Python and its packages."""
    return [Path(sys.executable).resolve(), *(_installed(name) / "any" for name in ("stdlib", "platlib"))]


def _installed(name: str) -> Path:
    return Path(sysconfig.get_path(name)).resolve()


def _python_paths(project: Path) -> Iterator[Path]:
    """Where this Python and its packages are: of a virtual environment too, and where that lies inside the project."""
    yield from map(_installed, ("stdlib", "platstdlib", "purelib", "platlib"))
    for prefix in (sys.prefix, sys.base_prefix, sys.base_exec_prefix):
        yield from (Path(prefix, name) for name in ("bin", "lib", "lib64", "pyvenv.cfg"))
    yield from (Path(path) for path in sys.path if path and not project.is_relative_to(Path(path).resolve()))
    yield Path(sys.executable).resolve().parent


def _outermost(paths: Iterable[Path]) -> list[Path]:
    kept: list[Path] = []
    for path in sorted({path.resolve() for path in paths if path.exists()}):
        if not kept or not path.is_relative_to(kept[-1]):
            kept.append(path)
    return kept


def _without(path: Path, hidden: list[Path]) -> Iterator[tuple[Path, bool]]:
    """A tree less the hidden ones in it: a folder that holds one is given name by name."""
    inside = [name for name in hidden if name.is_relative_to(path)]
    if not inside:
        yield path, False
    elif path not in inside:
        yield path, True
        for entry in path.iterdir():
            if not entry.is_symlink():  # granting a link would grant what it points at
                yield from _without(entry, inside)
