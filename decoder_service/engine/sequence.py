"""A sequence: the tokens of one completion over all of its turns, and where it stands.

    WAITING ─▶ RUNNING ⇄ PARKED ─▶ FINISHED
                 ▲          │
                 └ RETURNING┘

A sequence WAITs for its first turn, RUNs in the batch, is PARKED between turns with its pages kept, and is RETURNING
when its tools are done and it waits for a place again. `cached` tokens have their keys and values in `pages`; the rest
must be run through the model. While decoding, exactly one token is not cached: the one that was chosen last.

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
    `returned`: its turn is not its first. `returns_at`: when its tools are expected to be done, on any one clock.
    `ahead`: how many of its last tokens are a guess.
    """

    id: int
    tokens: list[int]
    limit: int
    state: State = State.WAITING
    cached: int = 0
    pages: list[int] = field(default_factory=list)
    prefix: Prefix | None = None
    returned: bool = False
    returns_at: float = math.inf
    ahead: int = 0

    @property
    def uncached(self) -> int:
        """Tokens that must still be run through the model."""
        return len(self.tokens) - self.cached

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
    """What one step runs of a sequence: its next `count` uncached tokens; 1 while it decodes."""

    sequence: Sequence
    count: int


def _same(left: Several[int], right: Several[int]) -> int:
    """How many tokens both begin with."""
    pairs = zip(left, right, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(left), len(right)))
