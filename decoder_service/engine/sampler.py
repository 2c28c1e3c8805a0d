"""Chooses the next token of one sequence.

The likeliest of many thousand tokens is found in microseconds; sorting them all, or drawing a number for each, takes
milliseconds. So only what is likely is sorted, and one number is drawn: the place of the next token in the sum of all
probabilities.

Under a rule, all that may come takes longer to find than whether one token may. So a token is chosen as if there were
no rule, and taken if it may come; a drawn one that may not is struck out, and another drawn. However often that goes
wrong, what is drawn of those that may come has their own distribution: being drawn depends on their own probabilities
alone.
"""

import random
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from decoder_service.engine.messages import Sampling

GREEDY_BELOW = 1e-4  # a temperature that leaves one token, and whose quotients leave what a float can hold
LIKELY = (1e-3, 1e-5, 0.0)  # least probabilities of what is sorted, until `top_p` is among it
BLOCK = 256  # probabilities that are summed up before one of them is looked for
DRAWS = 4  # before all that may come is found

Logits = npt.NDArray[np.float32]
Tokens = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Row:
    """What the model says of one next token: `logits` of the vocabulary, the first of the `likeliest`, and whether the
    logits are `sound`, that is, numbers."""

    logits: Logits
    likeliest: int
    sound: bool


def rows_of(logits: torch.Tensor) -> list[Row]:
    """The rows of `[rows, vocabulary]`, float32 in main memory. One call finds the likeliest of all."""
    values = logits.numpy()
    likeliest = values.argmax(-1)  # of a row with anything that is no number, that
    sound = np.isfinite(values[np.arange(len(values)), likeliest])
    return list(map(Row, values, likeliest.tolist(), sound.tolist()))


class Rule(Protocol):
    """What may come next."""

    def forced(self) -> int | None:
        """The token that must come; None: there is a choice."""
        ...

    def allows(self, token: int) -> bool:
        """Whether this token may come, where none is forced."""
        ...

    def filter(self, logits: Logits) -> Logits:
        """The logits, with what may not come at minus infinity; perhaps fewer, where the last may not."""
        ...

    def likeliest(self, logits: Logits) -> int:
        """The likeliest token that may come, the first of several."""
        ...


class Sampler:
    """Sampling of one sequence, with its own random state over all turns."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        seed = sampling.seed
        self._random = random.Random(None if seed is None else seed & 0xFFFF_FFFF_FFFF_FFFF)  # its sign counts too

    @property
    def is_greedy(self) -> bool:
        """Whether the likeliest token is taken."""
        return self._sampling.temperature < GREEDY_BELOW

    def choose(self, row: Row, rule: Rule | None) -> int:
        """The next token. Nothing is drawn where one is forced."""
        if rule is not None and (forced := rule.forced()) is not None:
            return forced
        if self.is_greedy:
            return _likeliest(row, rule)
        if rule is None:
            return self._draw(row.logits)
        if self._keeps_all:
            return self._draw_until_allowed(row.logits, rule)
        return self._draw(rule.filter(row.logits))

    @property
    def _keeps_all(self) -> bool:
        """Whether what is kept does not depend on what else may come."""
        return self._sampling.top_p >= 1 and self._sampling.top_k == 0

    def _draw_until_allowed(self, logits: Logits, rule: Rule) -> int:
        chances = self._chances(logits)
        for _ in range(DRAWS):
            token = _at(self._random.random(), chances)
            if rule.allows(token):
                return token
            chances[token] = 0
            if not chances.any():
                break
        return self._draw(rule.filter(logits))

    def _draw(self, logits: Logits) -> int:
        tokens = self._top(logits)
        chances = self._chances(logits if tokens is None else logits[tokens])
        if self._sampling.top_p < 1:
            nucleus = _nucleus(chances, self._sampling.top_p)
            chances = chances[nucleus]
            tokens = nucleus if tokens is None else tokens[nucleus]
        place = _at(self._random.random(), chances)
        return place if tokens is None else int(tokens[place])

    def _chances(self, logits: Logits) -> Logits:
        return _softmax((logits - logits.max()) / np.float32(self._sampling.temperature))

    def _top(self, logits: Logits) -> Tokens | None:
        """The likeliest `top_k`, and all that are as likely as the last of them. None: all tokens."""
        k = self._sampling.top_k
        if not 0 < k < len(logits):
            return None
        return np.flatnonzero(logits >= float(torch.from_numpy(logits).topk(k).values[-1]))


def _likeliest(row: Row, rule: Rule | None) -> int:
    """The likeliest of all is the likeliest of those allowed if it is one of them."""
    if rule is None or rule.allows(row.likeliest):
        return row.likeliest
    return rule.likeliest(row.logits)


def _softmax(logits: Logits) -> Logits:
    return torch.from_numpy(logits).softmax(-1).numpy()


def _nucleus(chances: Logits, top_p: float) -> Tokens:
    """The fewest tokens that have `top_p` of the probability, the likeliest first."""
    for least in LIKELY:
        likely = np.flatnonzero(chances >= least)
        if chances[likely].sum() >= top_p:
            break
    falling = likely[np.argsort(-chances[likely])]
    sums = np.cumsum(chances[falling], dtype=np.float64)
    return falling[: int(np.searchsorted(sums, top_p)) + 1]


def _at(point: float, chances: Logits) -> int:
    """The place where the sum of these chances passes `point`, from 0 to below 1, of the whole sum.

    A chance of 0 is never passed at, whatever is rounded.
    """
    starts = np.arange(0, len(chances), BLOCK)
    sums = np.add.reduceat(chances, starts, dtype=np.float64)
    block, rest = _passed(sums, point * float(sums.sum()))
    within = chances[block * BLOCK : (block + 1) * BLOCK].astype(np.float64)
    place, _ = _passed(within, rest)
    return block * BLOCK + place


def _passed(parts: npt.NDArray[np.float64], point: float) -> tuple[int, float]:
    """The part in which the sum passes `point`, and how far into it that is."""
    sums = np.cumsum(parts)
    place = int(np.searchsorted(sums, point, side="right"))
    place = min(place, int(np.flatnonzero(parts)[-1]))
    return place, max(0.0, point - (float(sums[place - 1]) if place else 0.0))
