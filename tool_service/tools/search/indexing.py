"""Makes indexes of a folder's documents, with either engine, in memory or as folders on disk.

An index folder has a manifest and beside it the folder that the manifest names, with the engine's files:

    manifest.json    what it is: engine, version, counts, source, and each file's size and SHA-256
    sections-1f0c…/  the index

The manifest is put there last and in one step, so that an index counts when all of it is written, and an old one until
then. What is left of an attempt that was cut short goes with the next one.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from tool_service.tools.search.documents import SUFFIXES, Section, documents, sections
from tool_service.tools.search.engine import Index, SearchError

ENGINES = ("fts5", "tantivy")
MANIFEST = "manifest.json"
FORMAT = "conveyor search index"
VERSION = 1
_DATA = re.compile(r"sections-[0-9a-f]{16}")  # nobody else names anything so; what is not in use is removed

Watch = Callable[[Iterable[Path]], Iterable[Path]]


class Indexer(Protocol):
    """Makes and opens indexes of one engine."""

    def build(self, sections: Iterable[Section], folder: Path | None = None) -> Index:
        """Indexes sections, in a folder or in memory."""
        ...

    def open(self, folder: Path) -> Index:
        """Opens the index in a folder. Raises `SearchError`."""
        ...


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an index folder says of itself. `files`: size in bytes and SHA-256 of each, by its path in `data`."""

    format: str
    version: int
    engine: str
    document_count: int
    section_count: int
    source: str
    data: str
    files: dict[str, tuple[int, str]]


def index_in_memory(folder: Path, engine: str = "fts5") -> Index:
    """Indexes a folder's documents, in bounds. Raises `SearchError` where there are none."""
    return _build(folder, documents(_existing(folder)), engine, None)[0]


def write_index(folder: Path, into: Path, engine: str, watch: Watch = lambda paths: paths) -> Manifest:
    """Indexes a folder's documents into an index folder, made or replaced. The documents go through `watch`.

    Raises `SearchError` where there is nothing to index or something else at `into`, and OSError.
    """
    paths = documents(_existing(folder), bounded=False)
    with _writing(into):
        data = into / f"sections-{secrets.token_hex(8)}"
        data.mkdir()
        index, section_count = _build(folder, watch(paths), engine, data)
        index.close()
        files = {str(file.relative_to(data)): (file.stat().st_size, _sha256(file)) for file in _files(data)}
        source = os.fsencode(folder.resolve()).decode("utf-8", "replace")
        made = Manifest(FORMAT, VERSION, engine, len(paths), section_count, source, data.name, files)
        _put(made, into)
    return made


def open_index(folder: Path, engine: str = "") -> Index:
    """Opens an index folder after reading all of it for damage. `engine`: the one it must be of, if any.

    Raises `SearchError`.
    """
    manifest = read_manifest(folder)
    if engine and engine != manifest.engine:
        raise SearchError(f"search.engine is {engine}, but search.index {folder} was made with {manifest.engine}")
    for name, (size, digest) in manifest.files.items():
        file = folder / manifest.data / name
        try:
            whole = file.stat().st_size == size and _sha256(file) == digest
        except OSError as error:
            raise SearchError(f"{file} cannot be read: {error.strerror}; make the index anew") from error
        if not whole:
            raise SearchError(f"{file} is damaged; make the index anew with `conveyor index`")
    return _indexer(manifest.engine).open(folder / manifest.data)


def read_manifest(folder: Path) -> Manifest:
    """What an index folder says of itself. Raises `SearchError` where it is none, or of another version."""
    try:
        told = json.loads((folder / MANIFEST).read_text("utf-8"))
    except OSError as error:
        cause = f"there is no {MANIFEST}" if folder.is_dir() else str(error.strerror)
        raise SearchError(f"{folder} is no search index: {cause}; make one with `conveyor index`") from error
    except ValueError as error:
        raise SearchError(f"{folder / MANIFEST} is damaged: {error}; make the index anew") from error
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise SearchError(f"{folder} is no search index: its {MANIFEST} is another program's")
    if told.get("version") != VERSION:
        raise SearchError(f"{folder} is a search index of version {told.get('version')}, not {VERSION}; make it anew")
    return _manifest(folder, told)


def _manifest(folder: Path, told: dict[str, Any]) -> Manifest:
    try:
        manifest = Manifest(**told)
        inside = [Path(manifest.data), *map(Path, manifest.files)]
        sound = manifest.engine in ENGINES and all(not path.is_absolute() and ".." not in path.parts for path in inside)
        sizes = all(isinstance(size, int) and isinstance(digest, str) for size, digest in manifest.files.values())
    except (TypeError, ValueError, AttributeError) as error:
        raise SearchError(f"{folder / MANIFEST} is damaged: {error}; make the index anew") from error
    if not (sound and sizes and manifest.files):
        raise SearchError(f"{folder / MANIFEST} is damaged; make the index anew")
    return manifest


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise SearchError(f"there is no folder {folder} to search")
    return folder


def _build(folder: Path, paths: Iterable[Path], engine: str, into: Path | None) -> tuple[Index, int]:
    """The index of these documents, and how many sections it has."""
    count = 0

    def counted() -> Iterator[Section]:
        nonlocal count
        for section in sections(folder, paths):
            count += 1
            yield section

    index = _indexer(engine).build(counted(), into)
    if not count:
        index.close()
        raise SearchError(f"the folder {folder} has no documents ({', '.join(SUFFIXES)}) to search")
    return index, count


def _indexer(engine: str) -> Indexer:
    if engine == "tantivy":
        from tool_service.tools.search.tantivy_engine import TantivyIndex

        return TantivyIndex
    from tool_service.tools.search.fts5_engine import Fts5Index

    return Fts5Index


@contextlib.contextmanager
def _writing(into: Path) -> Iterator[None]:
    """Has an index folder for oneself; afterwards nothing is in it but the manifest and what that names."""
    is_new = not into.exists()
    if not is_new and not _is_ours(into):
        raise SearchError(f"{into} is there already and is no search index; name another place with --into")
    into.mkdir(parents=True, exist_ok=True)
    folder = os.open(into, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(folder)
        raise SearchError(f"{into} is being written by another `conveyor index`") from error
    try:
        yield
        os.fsync(folder)
    finally:
        _tidy(into)
        os.close(folder)
        if is_new:
            with contextlib.suppress(OSError):  # there is an index in it
                into.rmdir()


def _is_ours(into: Path) -> bool:
    """Whether it is a folder with an index, or with nothing but what an attempt at one left."""
    if not into.is_dir():
        return False
    is_index = _read_json(into / MANIFEST).get("format") == FORMAT
    return is_index or all(_DATA.fullmatch(path.name) for path in into.iterdir())


def _read_json(file: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        told = json.loads(file.read_text("utf-8"))
        return told if isinstance(told, dict) else {}
    return {}


def _put(manifest: Manifest, into: Path) -> None:
    """Makes it the folder's index, in one step."""
    draft = into / manifest.data / MANIFEST
    with draft.open("w", encoding="utf-8") as file:
        json.dump(asdict(manifest), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(into / MANIFEST)


def _tidy(into: Path) -> None:
    current = _read_json(into / MANIFEST).get("data")
    for path in into.iterdir():
        if _DATA.fullmatch(path.name) and path.name != current:
            shutil.rmtree(path, ignore_errors=True)


def _files(data: Path) -> list[Path]:
    """The engine's files, written through to the disk, for all to read. Its lock files, which say nothing, go."""
    for path in data.rglob("*.lock"):
        path.unlink()
    paths = sorted([data, *data.rglob("*")])
    for path in paths:
        path.chmod(0o755 if path.is_dir() else 0o644)
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    return [path for path in paths if path.is_file()]


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
