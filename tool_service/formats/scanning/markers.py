"""Finding markers in text that comes in pieces.

A parser looks for a complete marker in what it has; where there is none, everything up to `settled` is plain, and only
the rest, which may still become a marker, is held back: less than a marker's length and `MAX_BLANKS` of white space.
"""

import re
from dataclasses import dataclass

MAX_BLANKS = 64
BLANKS = rf"[ \t\r\n]{{0,{MAX_BLANKS}}}"

_WHITE = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Marker:
    """A literal. One with `then` counts only if one of these follows, after at most `MAX_BLANKS` of white space."""

    literal: str
    then: tuple[str, ...] = ()

    @property
    def pattern(self) -> str:
        """Matches the whole marker, white space included, up to what has to follow. Nothing in it can match twice."""
        return re.escape(self.literal) + (f"{BLANKS}(?={_any(self.then)})" if self.then else "")

    @property
    def beginning(self) -> str:
        """Matches every proper prefix of the marker, but the empty one."""
        if not self.then:
            return _prefixes(self.literal[:-1])
        follow = "|".join(_prefixes(literal[:-1]) for literal in self.then)
        return _prefixes(self.literal, f"{BLANKS}(?:{follow})?")


@dataclass(frozen=True, slots=True)
class Found:
    """A marker at `start`; `end` is behind it and its white space, at what had to follow."""

    marker: Marker
    start: int
    end: int


class MarkerScanner:
    """Looks for the first of several markers; where two stand at the same place, the earlier in the list."""

    def __init__(self, *markers: Marker) -> None:
        self._markers = markers
        # An empty group behind each tells which it was; around it, it would cost the search for the first characters.
        self._pattern = re.compile("|".join(f"{marker.pattern}()" for marker in markers))
        self._beginning = re.compile(rf"(?:{'|'.join(marker.beginning for marker in markers)})\Z")
        self._reach = max(len(m.literal) + (MAX_BLANKS + max(map(len, m.then)) if m.then else 0) for m in markers)

    def find(self, text: str, start: int) -> Found | None:
        """The first complete marker from `start` on."""
        match = self._pattern.search(text, start)
        if match is None or match.lastindex is None:
            return None
        return Found(self._markers[match.lastindex - 1], match.start(), match.end())

    def settled(self, text: str, start: int) -> int:
        """Up to where `text`, which holds no complete marker, cannot be the beginning of one."""
        beginning = self._beginning.search(text, max(start, len(text) - self._reach))
        return beginning.start() if beginning else len(text)

    def may_begin(self, text: str, start: int) -> bool:
        """Whether all of `text` from `start` on may be the beginning of a marker."""
        return start == len(text) or self._beginning.match(text, start) is not None

    def at(self, text: str, start: int) -> Found | None:
        """The complete marker that stands at `start`."""
        match = self._pattern.match(text, start)
        if match is None or match.lastindex is None:
            return None
        return Found(self._markers[match.lastindex - 1], start, match.end())


def skip_blanks(text: str, pos: int) -> int:
    """The first place from `pos` on that is not white space."""
    match = _WHITE.match(text, pos)
    return match.end() if match else pos


def _any(literals: tuple[str, ...]) -> str:
    return "|".join(map(re.escape, literals))


def _prefixes(literal: str, tail: str = "") -> str:
    """Matches the non-empty prefixes of a literal, and after the whole of it `tail`."""
    if not literal:
        return "(?!)"
    pattern = tail
    for char in reversed(literal[1:]):
        pattern = f"(?:{re.escape(char)}{pattern})?"
    return re.escape(literal[0]) + pattern


# Lines of Markdown that open or close a code fence, and what may still become one. White space and words are bounded,
# and nothing in these patterns can match the same text in two ways.
FENCE = re.compile(rf"```(?P<word>[^`\n]{{0,{MAX_BLANKS}}})\n")
FENCE_BEGINNING = re.compile(rf"(?:`{{1,2}}|```[^`\n]{{0,{MAX_BLANKS}}})\Z")
CLOSING_FENCE = re.compile(rf"```([ \t\r]{{0,{MAX_BLANKS}}})\n")
CLOSING_FENCE_BEGINNING = re.compile(rf"(?:`{{1,2}}|```[ \t\r]{{0,{MAX_BLANKS}}})\Z")
