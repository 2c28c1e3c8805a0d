"""Where models come from, and the cache of those in the catalogue.

A model's name is one of `CATALOGUE`, a directory that `from_pretrained` reads, or a hub name. A catalogue model is
fetched and converted once. Its folder in the cache holds the GGUF file, whose blocks the decoder reads, and what
transformers reads; and a manifest of SHA-256 sums, written last, so that a pull cut short is gone on with and a damaged
file is noticed and made anew. A start does not read gigabytes to check them: it takes the files as they are while their
sizes and times are those that the manifest notes, and checks the sums where they are not.
"""

import contextlib
import fcntl
import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from decoder_service.models.catalogue import CATALOGUE, PackagedModel
from decoder_service.models.errors import ModelNotFoundError
from decoder_service.models.fetch import fetch
from protos.rpc.settings import cache_folder

MANIFEST = "conveyor-manifest.json"
GGUF = "model.gguf"


@dataclass(frozen=True, slots=True)
class About:
    """What a model's own file says of it; None where it does not."""

    architecture: str
    quantisation: str | None
    context: int | None
    parameter_count: int


def locate(name: str) -> str:
    """What `from_pretrained` is to be given for this name; pulls a catalogue model that is not ready yet."""
    if name not in CATALOGUE:
        return name
    return str(folder_of(name) if _is_as_written(name) else pull(name))


def folder_of(name: str) -> Path:
    """Where a catalogue model's files are, or will be. Raises ModelNotFoundError for an unknown name."""
    if name not in CATALOGUE:
        raise ModelNotFoundError(f"no model {name!r} in the catalogue; there are {', '.join(CATALOGUE)}")
    return cache_folder() / "models" / f"{name}-{CATALOGUE[name].sha256[:12]}"


def gguf_of(name: str) -> Path | None:
    """A model's GGUF file, for `open_blocks`; None for one that has none or is not here. `name` as in `locate`."""
    path = (folder_of(name) if name in CATALOGUE else Path(name)) / GGUF
    return path if path.is_file() else None


def is_ready(name: str) -> bool:
    """Whether a catalogue model's files are there and of the size they were written with. Cheap."""
    folder, files = folder_of(name), _manifest(name).get("files", {})
    return GGUF in files and all(_size(folder / file) == size for file, (size, _) in files.items())


def is_intact(name: str) -> bool:
    """Whether every file still has its checksum. Reads them all."""
    folder = folder_of(name)
    return is_ready(name) and all(
        _sha256(folder / file) == digest for file, (_, digest) in _manifest(name)["files"].items()
    )


def about(name: str) -> About | None:
    """What the model's own file says of it; None where it is not ready."""
    return About(**_manifest(name)["about"]) if is_ready(name) else None


def disk_bytes(name: str) -> int:
    """What a model takes of the disk, what has been fetched of one that is not ready included."""
    folder = folder_of(name)
    files = [*folder.rglob("*"), _partial(folder)]
    return sum(file.stat().st_blocks * 512 for file in files if file.is_file())


def pull(name: str) -> Path:
    """Makes a catalogue model ready, or checks all of one that is, and gives its folder. Shows its progress on standard
    error.

    Raises ModelNotFoundError for an unknown name and where a package cannot be had, DamagedModelError where that is not
    what it should be, NoRoomError where the disk is too small, OSError where the cache cannot be written.
    """
    folder = folder_of(name)
    if is_intact(name):
        _note_times(name)
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone_with(name):
        if not is_intact(name):
            _make(CATALOGUE[name], folder)
    return folder


def remove(name: str) -> bool:
    """Removes a catalogue model, and what an interrupted pull has left; says whether there was anything.

    Raises ModelNotFoundError for an unknown name.
    """
    if not disk_bytes(name):
        return False
    with _alone_with(name):
        folder = folder_of(name)
        _sweep(folder)
        _partial(folder).unlink(missing_ok=True)
        if folder.exists():
            (folder / MANIFEST).unlink(missing_ok=True)  # first, so that half a folder is never taken for a model
            shutil.rmtree(folder)
    return True


@contextlib.contextmanager
def _alone_with(name: str) -> Iterator[None]:
    """One process at a time: a second one waits, and finds what the first has made."""
    folder = folder_of(name)
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another process is at work on {name}; waiting for it", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(model: PackagedModel, folder: Path) -> None:
    _sweep(folder)
    partial = _partial(folder)
    if (folder / GGUF).exists() and not partial.exists():
        (folder / GGUF).rename(partial)  # the folder is damaged, or of an older kind; its largest file may be right
    fetch(model, partial)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as work:
        made = Path(work) / "model"
        _convert(model, partial, made)
        partial.rename(made / GGUF)
        _write_manifest(model, made)
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)


def _convert(model: PackagedModel, gguf: Path, made: Path) -> None:
    with tqdm(total=model.prepared_bytes, desc=f"preparing {model.title} (once)", unit="B", unit_scale=True) as bar:
        bar.set_postfix_str("loading transformers")
        import torch

        from decoder_service.models.convert import convert

        convert(gguf, made, getattr(torch, model.weights), bar.set_postfix_str, bar.update)
        bar.total = bar.n


def _write_manifest(model: PackagedModel, made: Path) -> None:
    from decoder_service.models.gguf_file import GgufFile

    gguf = GgufFile(made / GGUF)
    sums = {GGUF: (model.bytes, model.sha256)}  # which `fetch` has checked
    for path in sorted(made.iterdir()):
        if path.name != GGUF:
            sums[path.name] = (path.stat().st_size, _sha256(path))
    manifest = {
        "source": [part.requirement for part in model.parts],
        "about": asdict(About(gguf.architecture, gguf.quantisation, gguf.context, gguf.parameter_count)),
        "files": sums,
        "times": {file: (made / file).stat().st_mtime_ns for file in sums},
    }
    (made / MANIFEST).write_text(json.dumps(manifest, indent=1))


def _is_as_written(name: str) -> bool:
    """Whether nothing has touched the files since their sums were taken or checked."""
    folder, manifest = folder_of(name), _manifest(name)
    return is_ready(name) and manifest.get("times") == _times(folder, manifest["files"])


def _note_times(name: str) -> None:
    """The files are intact: what was copied here has times of its own, which are good from now on."""
    folder, manifest = folder_of(name), _manifest(name)
    times = _times(folder, manifest["files"])
    if manifest.get("times") != times:
        with contextlib.suppress(OSError):  # a cache that can only be read is checked at each start
            written = folder / f"{MANIFEST}.new"
            written.write_text(json.dumps({**manifest, "times": times}, indent=1))
            written.replace(folder / MANIFEST)


def _times(folder: Path, files: Iterable[str]) -> dict[str, int]:
    return {file: (folder / file).stat().st_mtime_ns for file in files}


def _manifest(name: str) -> dict[str, Any]:
    """The model's manifest; empty where there is none, or none of this kind."""
    try:
        manifest = json.loads((folder_of(name) / MANIFEST).read_text())
        return manifest if {"about", "files"} <= manifest.keys() else {}
    except (OSError, ValueError, AttributeError):
        return {}


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _partial(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.partial")


def _sweep(folder: Path) -> None:
    """Removes what processes that were killed have left on their way."""
    for left in (*folder.parent.glob(f".{folder.name}-*"), *folder.parent.glob(f"{_partial(folder).name}-*")):
        shutil.rmtree(left, ignore_errors=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
