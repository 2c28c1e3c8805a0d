"""Streamed output of one call: text up to a limit, artifacts up to another."""

from collections.abc import Callable

from tool_service.execution.events import CallArtifact, CallOutput, Event
from tool_service.execution.render import cut
from tool_service.interface.artifact import Artifact

MAX_ARTIFACT_BYTES = 2 << 20
MAX_ARTIFACT_COUNT = 16


class Output:
    """What a call has said so far. Nothing is passed on once `closed` says that its outcome has been told."""

    def __init__(self, call_id: str, limit: int, closed: Callable[[], bool], emit: Callable[[Event], None]) -> None:
        self._call_id = call_id
        self._limit = limit
        self._closed = closed
        self._emit = emit
        self._pieces: list[str] = []
        self._length = 0
        self._artifact_count = 0

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
        about = f"{artifact.name}: {artifact.media_type}, {len(artifact.data)} bytes"
        if len(artifact.data) > MAX_ARTIFACT_BYTES or self._artifact_count >= MAX_ARTIFACT_COUNT:
            self.write(
                f"[{about}; left out: at most {MAX_ARTIFACT_COUNT} of {MAX_ARTIFACT_BYTES} bytes are passed on]\n"
            )
            return
        self._artifact_count += 1
        self._emit(CallArtifact(self._call_id, artifact))
        self.write(f"[{about}]\n")

    def cut(self, text: str) -> str:
        """A text within the limit."""
        return cut(text, self._limit)
