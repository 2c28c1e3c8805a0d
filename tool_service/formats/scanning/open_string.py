"""The string that a lexer is reading."""

from tool_service.formats.scanning.turn import MAX_CHARACTERS


class OpenString:
    """Collects a string, decoded, and knows what of it was not said yet. A key is said only as a whole.

    What is longer than any argument may be is said, but not kept: its value is then not what was written.
    """

    __slots__ = ("_grown", "_parts", "_size", "in_key")

    def __init__(self) -> None:
        self.in_key = False
        self._parts: list[str] = []
        self._grown = 0  # how many of them were said
        self._size = 0

    @property
    def too_long(self) -> bool:
        """Whether it is longer than any argument may be."""
        return self._size > MAX_CHARACTERS

    def begin(self, *, in_key: bool) -> None:
        """A string begins; the last one is forgotten."""
        self.in_key, self._parts, self._grown, self._size = in_key, [], 0, 0

    def add(self, text: str) -> None:
        """More of it."""
        if self._size > MAX_CHARACTERS:
            del self._parts[: len(self._parts) if self.in_key else self._grown]
            self._grown = 0
        self._parts.append(text)
        self._size += len(text)

    def growth(self) -> str:
        """What came since the last time; nothing of a key."""
        grown, parts = self._grown, self._parts
        if self.in_key or grown == len(parts):
            return ""
        self._grown = len(parts)
        return parts[grown] if self._grown - grown == 1 else "".join(parts[grown:])

    def take(self) -> str:
        """The whole string, which is over."""
        value, self._parts, self._grown = "".join(self._parts), [], 0
        return value
