"""Tokens to text, as they come."""

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream


class Detokenizer:
    """Releases text only when it is whole characters. The tokens of one turn, which begins at a character's start."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._stream = DecodeStream(skip_special_tokens=False)

    def feed(self, token: int) -> str:
        """The text that this token completes; empty while a character is incomplete."""
        return self._stream.step(self._tokenizer, token) or ""
