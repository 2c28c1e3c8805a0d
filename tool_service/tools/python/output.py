"""From the bytes that a statement prints to the text that is passed on, without any I/O."""

import codecs


class OutputText:
    """Decodes UTF-8 that is cut anywhere, and stops at a number of characters with a line that says so.

    What is not UTF-8 becomes U+FFFD. Past the limit nothing is decoded or kept.
    """

    def __init__(self, limit: int) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._limit = limit
        self._left = limit
        self._is_cut = False

    def feed(self, data: bytes) -> str:
        """Takes bytes and returns the characters that they complete."""
        return self._within_limit(self._decoder.decode(data)) if not self._is_cut else ""

    def close(self) -> str:
        """Returns what is left of a character that never came to its end."""
        return self._within_limit(self._decoder.decode(b"", final=True)) if not self._is_cut else ""

    def _within_limit(self, text: str) -> str:
        if len(text) <= self._left:
            self._left -= len(text)
            return text
        self._is_cut = True
        kept = text[: self._left]
        return f"{kept}\n[output cut at {self._limit} characters]\n"
