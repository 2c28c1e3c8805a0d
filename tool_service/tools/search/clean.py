"""Found text is untrusted: it must not move a cursor, set a colour, or turn the reading direction.

Dropped: escape sequences, all control characters of C0 and C1 but newline and tab, and the characters that override the
direction of text (https://trojansource.codes).
"""

import re

_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours and cursor (ECMA-48, 5.4)
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]{0,256}(?:\x07|\x1b\\|\x9c)"  # titles, links (5.6)
    r"|\x1b[ -/]*[0-~]"
)
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: str) -> str:
    """The text with nothing in it that a terminal would act on."""
    return _UNSAFE.sub("", _SEQUENCE.sub("", text))


def clean_line(text: str, width: int) -> str:
    """The text as one clean line of at most `width` characters."""
    line = " ".join(clean(text).split())
    return line if len(line) <= width else f"{line[: width - 1]}…"
