"""Text from elsewhere is untrusted: it must not move a cursor, set a colour, turn the reading direction, or say what
people do not see.

Dropped: escape sequences, and all characters that Unicode counts as "other": control characters, those that format
(https://trojansource.codes), private ones, surrogates and those that are not assigned. Newline and tab stay, and so do
the two joiners, which some scripts spell words with.

Standard library only: SQLite's process imports it too.
"""

import re
import unicodedata

KEPT = "\n\t\u200c\u200d"
LINE_BREAKS = "\r\u2028\u2029"

_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours and cursor (ECMA-48, 5.4)
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]{0,256}(?:\x07|\x1b\\|\x9c)"  # titles, links (5.6)
    r"|\x1b[ -/]*[0-~]"
)


class _Seen(dict[int, int | None]):
    """What `str.translate` makes of a character; found out once for each."""

    def __missing__(self, code: int) -> int | None:
        character = chr(code)
        unseen = character not in KEPT and unicodedata.category(character).startswith("C")
        self[code] = ord("\n") if character in LINE_BREAKS else None if unseen else code
        return self[code]


_SEEN = _Seen()


def plain(text: str) -> str:
    """The text with nothing in it that a terminal would act on or a reader would not see."""
    return _SEQUENCE.sub("", text.replace("\r\n", "\n")).translate(_SEEN)


def plain_line(text: str) -> str:
    """The same as one line, words one space apart."""
    return " ".join(plain(text).split())
