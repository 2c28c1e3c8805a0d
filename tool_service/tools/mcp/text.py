"""Text that a server wrote about itself, made fit for a prompt and a log."""

import unicodedata


def plain(text: str, limit: int) -> str:
    """The text without what cannot be seen (control and format characters, private and unassigned ones), at most
    `limit` characters of it."""
    seen = "".join(each for each in text[: 4 * limit] if each in "\n\t" or unicodedata.category(each)[0] != "C").strip()
    return seen if len(seen) <= limit else f"{seen[: limit - 1]}…"
