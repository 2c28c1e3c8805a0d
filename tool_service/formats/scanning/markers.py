"""Finding markers in text that comes in pieces.

A parser looks for a complete marker in what it has; where there is none, everything up to `settled` is plain, and only
the rest, which may still become a marker, is held back: less than a marker's length and `MAX_BLANKS` of white space.
"""

import re
from dataclasses import dataclass

MAX_BLANKS = 64


@dataclass(frozen=True, slots=True)
class Marker:
    """A literal that counts only if `then`, where given, follows it after at most `MAX_BLANKS` of white space."""

    literal: str
    then: str = ""

    @property
    def pattern(self) -> str:
        """A regular expression without backtracking: white space and `then` have no character in common."""
        tail = rf"[ \t\r\n]{{0,{MAX_BLANKS}}}(?={re.escape(self.then)})" if self.then else ""
        return re.escape(self.literal) + tail

    def tail(self, text: str, start: int) -> int:
        """Where in `text` the longest suffix begins that this marker may grow from; the text's end if there is none."""
        if self.then:
            stem = len(text[start:].rstrip(" \t\r\n")) + start
            if len(text) - stem <= MAX_BLANKS and text.endswith(self.literal, start, stem):
                return stem - len(self.literal)
        for size in range(min(len(self.literal) - 1, len(text) - start), 0, -1):
            if text.endswith(self.literal[:size]):
                return len(text) - size
        return len(text)


@dataclass(frozen=True, slots=True)
class Found:
    """A marker at `start`; `end` is behind it and its white space, at what had to follow."""

    marker: Marker
    start: int
    end: int


class MarkerScanner:
    """Looks for the first of several markers."""

    def __init__(self, *markers: Marker) -> None:
        self._markers = markers
        self._pattern = re.compile("|".join(f"({marker.pattern})" for marker in markers))

    def find(self, text: str, start: int) -> Found | None:
        """The first complete marker from `start` on."""
        match = self._pattern.search(text, start)
        if match is None or match.lastindex is None:
            return None
        return Found(self._markers[match.lastindex - 1], match.start(), match.end())

    def settled(self, text: str, start: int) -> int:
        """Up to where `text`, which holds no complete marker, cannot be the beginning of one."""
        return min(marker.tail(text, start) for marker in self._markers)


# Lines of Markdown that open or close a code fence, and what may still become one. White space and words are bounded,
# and nothing in these patterns can match the same text in two ways.
FENCE = re.compile(rf"```([^`\n]{{0,{MAX_BLANKS}}})\n")
FENCE_BEGINNING = re.compile(rf"(?:`{{1,2}}|```[^`\n]{{0,{MAX_BLANKS}}})\Z")
CLOSING_FENCE = re.compile(rf"```([ \t\r]{{0,{MAX_BLANKS}}})\n")
CLOSING_FENCE_BEGINNING = re.compile(rf"(?:`{{1,2}}|```[ \t\r]{{0,{MAX_BLANKS}}})\Z")
