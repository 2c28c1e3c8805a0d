"""What tools hand over that is no text: saved in a folder, or only named."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Annotated, Any, Protocol

import typer

from gateway.cli.failure import Failure
from gateway.cli.sanitise import one_line

_UNSAFE = re.compile(r"[^\w.\- ]")  # also what separates folders, here or elsewhere
_STEM_CHARS, _SUFFIX_CHARS = 48, 12  # with a number, and four bytes each, within what file systems take
_NO_NAME = "artifact"


class Handed(Protocol):
    """An artifact as the contract has it."""

    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of an artifact. `path` is None where it was not saved."""

    name: str
    media_type: str
    byte_count: int
    path: Path | None = None

    def __str__(self) -> str:
        about = f"{one_line(self.name, 60)}, {one_line(self.media_type, 60)}, {_size(self.byte_count)}"
        return about if self.path is None else f"{about}: {self.path}"

    def to_json(self) -> dict[str, Any]:
        """The artifact as data, without its bytes."""
        data = {"name": self.name, "media_type": self.media_type, "byte_count": self.byte_count}
        return data if self.path is None else data | {"path": str(self.path)}


Keep = Callable[[Handed], Kept]


def only_named(artifact: Handed) -> Kept:
    """Saves nothing."""
    return Kept(artifact.name, artifact.media_type, len(artifact.data))


def handed_over(kept: Kept) -> str:
    """What became of an artifact, in a line for people."""
    return f"handed over {kept}" + ("; --artifacts FOLDER saves it" if kept.path is None else "")


def saver(folder: Path | None) -> Keep:
    """Saves in `folder`; without one, nothing. The folder is made now, so that a bad one is known before a tool runs.

    Raises `typer.BadParameter`.
    """
    if folder is None:
        return only_named
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"cannot make the folder {folder}: {error}", param_hint="--artifacts") from None
    return lambda artifact: Kept(
        artifact.name, artifact.media_type, len(artifact.data), save(artifact.data, artifact.name, folder)
    )


def save(data: bytes, name: str, folder: Path) -> Path:
    """Writes a new file of about that name: `a-2.png` where `a.png` is taken. Raises `Failure`."""
    safe, number = Path(safe_name(name)), 1
    while True:
        path = folder / (safe if number == 1 else f"{safe.stem}-{number}{safe.suffix}")
        try:
            with path.open("xb") as file:  # a link that is there already is not followed
                file.write(data)
        except FileExistsError:
            number += 1
        except OSError as error:
            remedy = "Choose another folder with --artifacts."
            raise Failure(f"cannot write {path}: {error.strerror}", remedy) from error
        else:
            return path


def safe_name(name: str) -> str:
    """A tool's name for a file, as one that leads nowhere else and hides nowhere."""
    plain = PurePath(_UNSAFE.sub("_", name).strip(" ."))
    suffix = plain.suffix[:_SUFFIX_CHARS]
    return f"{plain.stem[:_STEM_CHARS]}{suffix}" or _NO_NAME


def _size(byte_count: int) -> str:
    return f"{byte_count} bytes" if byte_count < 1000 else f"{byte_count / 1000:.1f} kB"


ArtifactsOption = Annotated[
    Path | None,
    typer.Option(
        "--artifacts",
        metavar="FOLDER",
        file_okay=False,
        help="save pictures and files that tools hand over; made where it is missing, nothing in it is overwritten",
    ),
]
