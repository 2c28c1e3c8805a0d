"""A PostgreSQL server for measurements and tests: in a temporary folder, on a Unix socket, gone at the end."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 30.0


class NoPostgresError(Exception):
    """There is no server to start here; the message says why."""


def binaries() -> Path:
    """The folder of the newest server that Debian's packages installed. Raises NoPostgresError."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if not found:
        raise NoPostgresError("no PostgreSQL under /usr/lib/postgresql; `make system-packages` installs it")
    return max(found, key=lambda path: float(path.parent.name))


def prefix() -> list[str]:
    """What a command is started with, so that it ends with its parent and is not root's: the server refuses that."""
    leash = ["setpriv", "--pdeathsig=QUIT"]
    if os.geteuid() != 0:
        return leash
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        raise NoPostgresError("root cannot run PostgreSQL, and there is no user `postgres`") from None
    return [*leash, "--reuid=postgres", "--regid=postgres", "--init-groups"]


@contextmanager
def running_server() -> Iterator[str]:
    """Gives a superuser's address. Raises NoPostgresError."""
    folder = Path(tempfile.mkdtemp(prefix="conveyor-pg-"))
    try:
        with _server(binaries(), prefix(), folder):
            yield f"postgresql://postgres@/postgres?host={folder}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _server(bin_: Path, as_user: list[str], folder: Path) -> Iterator[None]:
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    data = folder / "data"
    options = ["--auth=trust", "--username=postgres", "--no-sync", "--encoding=UTF8", "--locale=C"]
    environment = {"PATH": os.defpath, "LC_ALL": "C"}
    subprocess.run(
        [*as_user, bin_ / "initdb", *options, "-D", data],
        check=True, capture_output=True, cwd=folder, env=environment, timeout=60,
    )  # fmt: skip
    settings = {"listen_addresses": "", "unix_socket_directories": folder, "fsync": "off", "max_connections": 50}
    settings |= {"shared_buffers": "16MB", "autovacuum": "off"}
    flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*as_user, bin_ / "postgres", "-D", data, *flags], stdout=log, stderr=log, cwd=folder, env=environment
        )
    try:
        _await_socket(process, folder)
        yield
    finally:
        process.send_signal(signal.SIGQUIT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()


def _await_socket(process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while "ready to accept connections" not in (folder / "log").read_text():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL did not start: {(folder / 'log').read_text()[-2000:]}")
        time.sleep(0.02)
