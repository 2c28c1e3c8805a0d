"""What is said on the control channel between the interpreter and its child, without any I/O. Both sides use this file.

A frame is four bytes (big endian, the length of what follows), one byte for its kind, and UTF-8 text.

    to the child     STATEMENT       run this; the answer is DONE or FAILED
                     NEW_PROGRAM     the same, but its lines count from 1 again
                     SHOW_VALUE      the answer is DONE with the last value's repr, or FAILED
    from the child   READY           once, when it is confined
                     REFUSED         once, instead of READY: why it cannot be confined
                     DONE, FAILED    the answer; FAILED has the traceback

The child may start this file's code before anything else is imported, so it imports nothing.
"""

STATEMENT = b"S"
NEW_PROGRAM = b"P"
SHOW_VALUE = b"V"
READY = b"R"
REFUSED = b"X"
DONE = b"K"
FAILED = b"F"

HEADER_BYTES = 4


class FrameTooLong(Exception):
    """The other side announces more than was agreed."""


def encode(kind: bytes, text: str) -> bytes:
    """One frame. Lone surrogates go through, so that it is the child's compiler that complains of them."""
    payload = kind + text.encode("utf-8", "surrogatepass")
    return len(payload).to_bytes(HEADER_BYTES, "big") + payload


def payload_length(header: bytes | bytearray) -> int:
    """How many bytes follow these first `HEADER_BYTES`."""
    return int.from_bytes(header[:HEADER_BYTES], "big")


def decode(payload: bytes, errors: str = "replace") -> tuple[bytes, str]:
    """Kind and text of a frame without its header."""
    return payload[:1], payload[1:].decode("utf-8", errors)


class FrameReader:
    """Puts frames together from pieces. Holds at most one frame of `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> tuple[bytes, str] | None:
        """Takes bytes and returns the frame that they complete, if any. Raises `FrameTooLong`."""
        self._buffer += data
        if len(self._buffer) < HEADER_BYTES:
            return None
        end = HEADER_BYTES + payload_length(self._buffer)
        if end > self._max_bytes:
            raise FrameTooLong(f"a frame of {end} bytes, with {self._max_bytes} allowed")
        if len(self._buffer) < end:
            return None
        payload = bytes(self._buffer[HEADER_BYTES:end])
        del self._buffer[:end]
        return decode(payload)
