"""Guesses at a sequence's next tokens: what followed when its last three stood in it before, or else its last two.

Answers repeat what they are about: a call writes the names of the schema in its prompt, code its own variables, a final
answer the tool's result.
"""

from dataclasses import dataclass

import numpy as np

LONGEST = 6  # tokens of a guess
HOPES = {3: 0.6, 2: 0.3}  # that a token is right after a match of so many, until it is known better
LEARNING = 1 / 8  # share of what was seen last
MOST_HOPE = 0.98


@dataclass(frozen=True, slots=True)
class Guess:
    """`tokens` that may come next, each with a chance of `hope` if those before it do, after a match of `matched`."""

    tokens: tuple[int, ...] = ()
    hope: float = 0.0
    matched: int = 0


class Lookup:
    """One sequence's tokens, and how often guesses were right."""

    def __init__(self) -> None:
        self._tokens = np.empty(256, np.int32)
        self._count = 0
        self._hopes = dict(HOPES)

    def guess(self, tokens: list[int]) -> Guess:
        """What may follow these tokens, which begin with those of the last time."""
        self._catch_up(tokens)
        seen = self._tokens[: self._count]
        if len(seen) < 4:
            return Guess()
        pairs = np.flatnonzero((seen[:-2] == seen[-2]) & (seen[1:-1] == seen[-1]))
        if not len(pairs):
            return Guess()
        triples = pairs[(pairs > 0) & (seen[pairs - 1] == seen[-3])]
        matched, found = (3, triples) if len(triples) else (2, pairs)
        return Guess(self._following(int(found[-1]) + 2), self._hopes[matched], matched)

    def learn(self, guess: Guess, chosen: list[int]) -> None:
        """Compares a guess with what came, as far as it was right and a token further."""
        for guessed, token in zip(guess.tokens, chosen, strict=False):
            hope = self._hopes[guess.matched]
            self._hopes[guess.matched] = min(MOST_HOPE, hope + LEARNING * ((guessed == token) - hope))
            if guessed != token:
                return

    def _following(self, place: int) -> tuple[int, ...]:
        """The tokens from a place on; where they run out, they are taken to repeat."""
        following = self._tokens[place : min(self._count, place + LONGEST)]
        return tuple(np.resize(following, LONGEST).tolist())

    def _catch_up(self, tokens: list[int]) -> None:
        count = len(tokens)
        if count > len(self._tokens):
            self._tokens = np.concatenate([self._tokens[: self._count], np.empty(count, np.int32)])
        self._tokens[self._count : count] = tokens[self._count :]
        self._count = count
