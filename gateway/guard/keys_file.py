"""API keys by name, as they lie in a file.

    # whose key it is, and the SHA-256 of the key in hexadecimal digits
    alice 5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8

A key is `ck_` and 32 random bytes in URL-safe base64. Only its hash is kept, so who reads the file can call nobody. One
round of SHA-256 is enough for that: slow hashes are there for passwords, of which so few are likely that they can be
tried; of 2^256 keys none is ever found by trying, however quickly a try is hashed. What a caller shows is hashed before
it is compared, so the time that takes tells nothing of a key.
"""

import errno
import fcntl
import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
MAX_BYTES = 2**20  # some thousand keys; each is compared with each request's
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PREFIX = "ck_"

Keys = dict[str, bytes]  # the hash of each key, by name


class KeysError(ValueError):
    """A file of keys that cannot be read or changed; the message names it, and the line."""


def default_path() -> Path:
    """Where the command line keeps keys when it is not told: `keys` in $XDG_CONFIG_HOME/conveyor or ~/.config."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "conveyor" / "keys"


def hashed(key: str) -> bytes:
    """The hash of a key."""
    return hashlib.sha256(key.encode()).digest()


def read(path: Path) -> Keys:
    """The keys in a file. Raises KeysError where it cannot be read, or has a line that is none."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise KeysError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise KeysError(f"{path} has more than {MAX_BYTES} bytes, as many as may be")
    return parse(data.decode("utf-8", "replace"), str(path))


def parse(text: str, path: str) -> Keys:
    """The keys in the text of a file. Raises KeysError with `path` and the number of the first wrong line."""
    keys: Keys = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, digest = _entry(line, f"{path}:{number}")
        if name in keys:
            raise KeysError(f"{path}:{number}: there is a key {name} already; names are given once")
        if digest in keys.values():
            raise KeysError(f"{path}:{number}: {name} has another one's key; each has its own")
        keys[name] = digest
    return keys


def new_key(path: Path, name: str) -> str:
    """Adds a key and gives it: it is nowhere else. Raises KeysError where there is one of that name."""
    if not NAME.fullmatch(name):
        raise KeysError(f"{name!r} is no name for a key: wanted are 1 to 64 of the characters A-Z a-z 0-9 . _ -")
    key = _PREFIX + secrets.token_urlsafe(32)

    def add(text: str) -> str:
        if name in parse(text, str(path)):
            raise KeysError(f"{path} has a key {name} already; revoke it first, or choose another name")
        whole = text if not text or text.endswith("\n") else f"{text}\n"
        return f"{whole}{name} {hashed(key).hex()}\n"

    _change(path, add)
    return key


def revoke(path: Path, name: str) -> None:
    """Takes a key out. Raises KeysError where there is none of that name."""

    def remove(text: str) -> str:
        if name not in parse(text, str(path)):
            raise KeysError(f"{path} has no key {name}; `conveyor keys list` shows the names that there are")
        return "".join(line for line in text.splitlines(keepends=True) if line.split()[:1] != [name])

    if not path.exists():
        raise KeysError(f"there is no file {path}")
    _change(path, remove)


def _entry(line: str, place: str) -> tuple[str, bytes]:
    match line.split():
        case [name, digest] if NAME.fullmatch(name) and _HASH.fullmatch(digest):
            return name, bytes.fromhex(digest)
    raise KeysError(f"{place}: wanted is NAME and 64 hexadecimal digits, as `conveyor keys new NAME` writes them")


def _change(path: Path, change: Callable[[str], str]) -> None:
    """Puts a changed file in the place of the old one at once, so that nobody ever reads half of it."""
    path = path.resolve()  # what a link leads to, and not the link
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone_in(path.parent):
            text = path.read_text("utf-8", "surrogateescape") if path.exists() else ""
            _replace(path, change(text))
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise KeysError(
                f"cannot write {path}: it is a mount of its own, and a file is changed by putting another into its "
                "place, which a mount does not follow; mount its folder, and not the file"
            ) from error
        raise KeysError(f"cannot write {path}: {error.strerror}") from error


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Whoever changes files of keys in a folder waits here for the others."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".keys-")  # with mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            if path.exists():
                _keep_owner(path, descriptor)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _keep_owner(path: Path, descriptor: int) -> None:
    """Root may change the file of the user that the gateway runs as, who must be able to read it afterwards."""
    old = path.stat()
    if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
        os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, old.st_mode & 0o777)
