"""Text of models and tools is untrusted: it must not move the cursor, set a colour, or turn the reading direction.

Dropped: escape sequences, all control characters of C0 and C1 but newline and tab, line and paragraph separators, the
characters that override the direction of text (https://trojansource.codes), and those that are not seen at all: what
is read would not be what is there.
"""

import re

_CSI = r"(?:\x1b\[|\x9b)"  # parameters, intermediates, one final byte (ECMA-48, 5.4)
_STRING = r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])"  # titles, links and the like, up to a terminator (ECMA-48, 5.6)
_STRING_BODY = r"[^\x07\x1b\x9c\n]{0,256}"
_SEQUENCE = re.compile(rf"{_CSI}[0-?]*[ -/]*[@-~]|{_STRING}{_STRING_BODY}(?:\x07|\x1b\\|\x9c)|\x1b[ -/]*[0-~]")
_UNFINISHED = re.compile(rf"(?:{_CSI}[0-?]{{0,64}}[ -/]{{0,8}}|{_STRING}{_STRING_BODY}\x1b?|\x1b[ -/]{{0,8}})\Z")
_UNSAFE = re.compile(  # the joiners U+200C and U+200D are left: scripts and emoji need them
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


class Sanitiser:
    """Makes text fit for a terminal piece by piece; a sequence that is cut between two pieces is dropped whole."""

    def __init__(self) -> None:
        self._pending = ""

    def feed(self, text: str) -> str:
        """The part of the text so far that is complete and not given out yet."""
        text = self._pending + text
        cut = unfinished.start() if (unfinished := _UNFINISHED.search(text)) else len(text)
        self._pending = text[cut:]
        return printable(text[:cut])

    def close(self) -> str:
        """What was held back for a sequence that never ended."""
        rest, self._pending = self._pending, ""
        return printable(rest)


def printable(text: str) -> str:
    """`text` with nothing in it that a terminal would act on."""
    return _UNSAFE.sub("", _SEQUENCE.sub("", text))


def gist(text: str, width: int = 120) -> str:
    """The last line with anything on it, which of a traceback is the one that says what is wrong."""
    lines = printable(text).split("\n")
    return one_line(next((line for line in reversed(lines) if line.strip()), ""), width)


def one_line(text: str, width: int = 120) -> str:
    """`text` as one printable line of at most `width` characters."""
    line = " ".join(printable(text).split())
    return line if len(line) <= width else line[: width - 1] + "…"
