"""A sequence: the tokens of one completion over all of its turns, and where it stands.

    WAITING ─▶ RUNNING ⇄ PARKED ─▶ FINISHED
                 ▲          │
                 └ RETURNING┘

A sequence WAITs for its first turn, RUNs in the batch, is PARKED between turns with its pages kept, and is RETURNING
when its tools are done and it waits for a place again. `cached` tokens have their keys and values in `pages`; the rest
must be run through the model. While decoding, the token that was chosen last is not cached, and those are not that a
grammar has forced since.

While it is PARKED, its last `ahead` tokens are a guess at what will follow, so that they can be computed meanwhile.
What follows in truth replaces them, and is computed only from where the two differ.
"""

import enum
import math
from collections.abc import Sequence as Several
from dataclasses import dataclass, field

from decoder_service.engine.prefixes import Prefix


class State(enum.Enum):
    """Where a sequence stands."""

    WAITING = "waiting"
    RUNNING = "running"
    PARKED = "parked"
    RETURNING = "returning"
    FINISHED = "finished"


@dataclass(slots=True, eq=False)
class Sequence:
    """Tokens and bookkeeping of one completion.

    `limit`: most tokens it may have at the end of the running turn. `pages` change only while it does not run; the
    first of them may be held by others too, and those are full. `prefix`: as far as others can find its pages.
    `prompted`: tokens that it was given up to the beginning of its turn, or chose in turns before.
    `returned`: its turn is not its first. `returns_at`: when its tools are expected to be done, on any one clock.
    `ahead`: how many of its last tokens are a guess.
    """

    id: int
    tokens: list[int]
    limit: int
    state: State = State.WAITING
    cached: int = 0
    prompted: int = 0
    pages: list[int] = field(default_factory=list)
    prefix: Prefix | None = None
    returned: bool = False
    returns_at: float = math.inf
    ahead: int = 0

    @property
    def uncached(self) -> int:
        """Tokens that must still be run through the model."""
        return len(self.tokens) - self.cached

    @property
    def decoding(self) -> bool:
        """Whether the next tokens to be run end the prompt or are the turn's own."""
        return self.cached >= self.prompted - 1

    def guess(self, start: int, tokens: Several[int]) -> None:
        """Replaces the guess from its `start`-th token on. What was computed counts as far as the tokens are the same,
        but for the last one, which is run again for its logits."""
        certain = len(self.tokens) - self.ahead
        first = certain + start
        same = first + _same(self.tokens[first:], tokens)
        self.tokens[same:] = tokens[same - first :]
        self.ahead = len(self.tokens) - certain
        self.cached = min(self.cached, same, len(self.tokens) - 1)

    def follow(self, tokens: Several[int]) -> None:
        """These tokens follow in truth."""
        self.guess(0, tokens)
        self.ahead = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """What one step runs of a sequence: its next `count` uncached tokens, and then `drafts`.

    Drafts are guesses at the tokens after these, which the sequence may turn out not to choose. They have their places
    in its pages, and never reach its limit; none where `count` leaves a token.
    """

    sequence: Sequence
    count: int
    drafts: tuple[int, ...] = ()

    @property
    def rows(self) -> int:
        """Rows of logits that come of it: that of the last of `count`, and those of the drafts."""
        return 1 + len(self.drafts)

    @property
    def tokens(self) -> list[int]:
        """What is run, in order."""
        cached = self.sequence.cached
        return [*self.sequence.tokens[cached : cached + self.count], *self.drafts]


def _same(left: Several[int], right: Several[int]) -> int:
    """How many tokens both begin with."""
    pairs = zip(left, right, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(left), len(right)))
