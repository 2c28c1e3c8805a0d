"""Streamed output of one call: text up to a limit, artifacts up to another."""

import itertools
import re
from collections.abc import Callable
from pathlib import PurePosixPath

from tool_service.execution.events import CallArtifact, CallOutput, Event
from tool_service.execution.render import cut, whole
from tool_service.interface.artifact import Artifact

MAX_ARTIFACT_BYTES = 2 << 20
MAX_ARTIFACT_COUNT = 16
MAX_NAME_CHARS = 100
UNKNOWN_MEDIA_TYPE = "application/octet-stream"

_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]{1,64}/[\w!#$&^.+-]{1,64}(; ?[\w=.+-]{1,64})*", re.ASCII)  # RFC 6838, 4.2


class Output:
    """What a call has said so far. Nothing is passed on once `closed` says that its outcome has been told."""

    def __init__(self, call_id: str, limit: int, closed: Callable[[], bool], emit: Callable[[Event], None]) -> None:
        self._call_id = call_id
        self._limit = limit
        self._closed = closed
        self._emit = emit
        self._pieces: list[str] = []
        self._length = 0
        self._artifact_names: set[str] = set()

    @property
    def text(self) -> str:
        """All that was written."""
        return "".join(self._pieces)

    def write(self, text: str) -> None:
        """More text; past the limit a notice, then nothing."""
        if not text or self._length > self._limit or self._closed():
            return
        piece = cut(text, self._limit, self._limit - self._length)
        self._length += len(text)
        self._pieces.append(piece)
        self._emit(CallOutput(self._call_id, piece))

    def attach(self, artifact: Artifact) -> None:
        """An artifact; the text says that it is there, or why it is not."""
        if self._closed():
            return
        if len(artifact.data) > MAX_ARTIFACT_BYTES or len(self._artifact_names) >= MAX_ARTIFACT_COUNT:
            self.write(left_out(artifact))
            return
        name = self._free_name(plain_name(artifact.name))
        self._artifact_names.add(name)
        media_type = artifact.media_type if _MEDIA_TYPE.fullmatch(artifact.media_type) else UNKNOWN_MEDIA_TYPE
        self._emit(CallArtifact(self._call_id, Artifact(name, media_type, bytes(artifact.data))))
        self.write(f"[{name}: {media_type}, {len(artifact.data)} bytes]\n")

    def _free_name(self, name: str) -> str:
        """The name, numbered where an artifact of this call has it: `plot.png`, `plot-2.png`."""
        path = PurePosixPath(name)
        numbered = (f"{path.stem}-{number}{path.suffix}" for number in itertools.count(2))
        return next(free for free in itertools.chain([name], numbered) if free not in self._artifact_names)

    def cut(self, text: str) -> str:
        """A text within the limit."""
        return cut(text, self._limit)


def plain_name(name: str) -> str:
    """A name that is safe for a file: the last part of a path, nothing that is not printable, not hidden, not long."""
    last = re.split(r"[/\\]", whole(name))[-1]
    safe = "".join(character if character.isprintable() else "_" for character in last).strip(" .")
    stem, dot, suffix = safe.rpartition(".")
    kept = f"{stem[: MAX_NAME_CHARS - len(suffix) - 1]}{dot}{suffix}" if dot and len(suffix) < 16 else safe
    return kept[:MAX_NAME_CHARS] or "artifact"


def left_out(artifact: Artifact) -> str:
    """What is told of an artifact that is too much."""
    about = f"{plain_name(artifact.name)}: {len(artifact.data)} bytes"
    return f"[{about}; left out: at most {MAX_ARTIFACT_COUNT} of {MAX_ARTIFACT_BYTES} bytes are passed on]\n"
