"""What is said on the control channel between the interpreter and its child, without any I/O. Both sides use this file.

A frame is four bytes (big endian, the length of what follows), one byte for its kind, and UTF-8 text or a picture.

    to the child     STATEMENT       run this; the answer is DONE or FAILED
                     NEW_PROGRAM     the same, but its lines count from 1 again
                     SHOW_VALUE      the answer is DONE with the last value's repr, or FAILED
                     SHOW_FIGURES    hand over the figures that are open; the answer is DONE
                     TAKEN           a figure has been taken; the child waits for that, so that all stays in order
    from the child   READY           once, when it is confined
                     REFUSED         once, instead of READY: why it cannot be confined
                     FIGURE          any number before an answer: a PNG file; TAKEN is its answer
                     DONE, FAILED    the answer; FAILED has the traceback

The child may start this file's code before anything else is imported, so it imports nothing.
"""

STATEMENT = b"S"
NEW_PROGRAM = b"P"
SHOW_VALUE = b"V"
SHOW_FIGURES = b"G"
TAKEN = b"T"
READY = b"R"
REFUSED = b"X"
FIGURE = b"I"
DONE = b"K"
FAILED = b"F"

HEADER_BYTES = 4
NOTICE_CHARS = 100
MAX_FIGURES = 8  # of one program
MAX_FIGURE_BYTES = 2 << 20
PNG_START = b"\x89PNG\r\n\x1a\n"
BACKEND = "_conveyor_figures"  # the module that matplotlib draws with; see gallery.py
MPLBACKEND = f"module://{BACKEND}"

Frame = tuple[bytes, bytes]  # kind and payload


class FrameTooLong(Exception):
    """The other side announces more than was agreed."""


def encode(kind: bytes, payload: str | bytes) -> bytes:
    """One frame. Lone surrogates go through, so that it is the child's compiler that complains of them."""
    data = payload.encode("utf-8", "surrogatepass") if isinstance(payload, str) else payload
    return (len(data) + 1).to_bytes(HEADER_BYTES, "big") + kind + data


def payload_length(header: bytes | bytearray) -> int:
    """How many bytes follow these first `HEADER_BYTES`."""
    return int.from_bytes(header[:HEADER_BYTES], "big")


def text_of(payload: bytes) -> str:
    """Text from the child, whatever it sends."""
    return payload.decode("utf-8", "replace")


def cut(text: str, limit: int, what: str) -> str:
    """The text without its middle if it is too long; at most `NOTICE_CHARS` more than the limit."""
    if len(text) <= limit:
        return text
    return f"{text[: limit // 2]}\n[… {what} cut: {len(text)} characters …]\n{text[-(limit // 2) :]}"


class FrameReader:
    """Puts frames together from pieces. Holds one frame of at most `max_bytes`, or a figure, and what came after."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()

    @property
    def is_between(self) -> bool:
        """Whether no frame has begun that has not ended."""
        return not self._buffer

    def feed(self, data: bytes) -> list[Frame]:
        """Takes bytes and returns the frames that they complete. Raises `FrameTooLong`."""
        self._buffer += data
        found: list[Frame] = []
        while len(self._buffer) > HEADER_BYTES:
            kind = bytes(self._buffer[HEADER_BYTES : HEADER_BYTES + 1])
            end = HEADER_BYTES + payload_length(self._buffer)
            most = max(self._max_bytes, MAX_FIGURE_BYTES + HEADER_BYTES + 1) if kind == FIGURE else self._max_bytes
            if end > most or end <= HEADER_BYTES:
                raise FrameTooLong(f"a frame of {end} bytes, with {most} allowed")
            if len(self._buffer) < end:
                break
            found.append((kind, bytes(self._buffer[HEADER_BYTES + 1 : end])))
            del self._buffer[:end]
        return found
