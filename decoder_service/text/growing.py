"""Tokens of a text that is still growing at its end, as far as more text does not change them.

More text can change how the last word is cut into tokens, and the space around it: these are held back. Of a word
without end the last tokens are, because what changes is near the end. No rule is certain for every tokenizer there
could be: whoever uses these tokens compares them with those of the whole text when it is there.

Work is in proportion to what is new. Text is forgotten once its tokens have settled, but for the last of it, which is
tokenised again together with what follows. Where the rest alone does not give the same tokens, nothing more settles.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tokenizers import Encoding

MOST_HELD = 16  # tokens of a last word
KEPT = 64  # tokens that have settled and are tokenised again
MOST_KEPT = 256


@dataclass(frozen=True, slots=True)
class GrowingTokens:
    """A text as it is known so far. `text` is what is not forgotten; the first `skip` of its tokens are not counted.

    `start`: how many tokens come before those that are. `special`: tokens that are cut out before all others.
    """

    encode: Callable[[str], Encoding]
    special: frozenset[int]
    text: str
    skip: int = 0
    start: int = 0
    stuck: bool = False

    def plus(self, text: str) -> "GrowingTokens":
        """The same with more at its end."""
        return self if self.stuck else replace(self, text=self.text + text)

    def settled(self) -> tuple[Sequence[int], "GrowingTokens"]:
        """The tokens from the `start`-th on that have settled, and the same text with most of them forgotten."""
        if self.stuck:
            return (), self
        encoding = self.encode(self.text)
        count = _settled_count(self.text, encoding, self.special)
        after = self._forgetful(encoding, count) if count > MOST_KEPT else self
        return encoding.ids[self.skip : count], after

    def _forgetful(self, encoding: Encoding, settled: int) -> "GrowingTokens":
        text = self.text[encoding.offsets[settled - KEPT][0] :]
        again = self.encode(text).ids
        same = _same_at_the_end(again, encoding.ids)
        first = len(encoding.ids) - same
        if not self.skip <= first <= settled:
            return replace(self, text="", stuck=True)
        return replace(self, text=text, skip=len(again) - same, start=self.start + first - self.skip)


def _settled_count(text: str, encoding: Encoding, special: frozenset[int]) -> int:
    """How many tokens end before the last word and the space before it, or with a special token."""
    words = text.rsplit(None, 1)
    end = len(words[0]) if len(words) > 1 else 0
    ids, offsets, count = encoding.ids, encoding.offsets, len(encoding.ids)
    least = max(0, count - MOST_HELD)
    while count > least and offsets[count - 1][1] > end and ids[count - 1] not in special:
        count -= 1
    return count


def _same_at_the_end(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens both end with."""
    pairs = zip(reversed(left), reversed(right), strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(left), len(right)))
