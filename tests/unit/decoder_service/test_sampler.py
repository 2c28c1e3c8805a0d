"""Choosing tokens: the likeliest that is allowed, and the same draws for the same seed."""

import math

import numpy as np
import pytest
import torch

from decoder_service.engine.messages import Sampling
from decoder_service.engine.sampler import Logits, Row, Sampler, rows_of

WORDS = 1500


def row_of(logits: torch.Tensor) -> Row:
    return rows_of(logits[None])[0]


class Only:
    """A rule that allows some tokens of a vocabulary."""

    def __init__(self, *tokens: int, of: int = WORDS, forced: int | None = None) -> None:
        self._may = np.isin(np.arange(of), tokens)
        self._forced = forced

    def forced(self) -> int | None:
        return self._forced

    def allows(self, token: int) -> bool:
        return token < len(self._may) and bool(self._may[token])

    def filter(self, logits: Logits) -> Logits:
        may = self._may[: len(logits)]
        return np.where(may, logits[: len(may)], np.float32(-np.inf))

    def likeliest(self, logits: Logits) -> int:
        return int(self.filter(logits).argmax())


def some_logits(seed: int = 0) -> torch.Tensor:
    return torch.randn(WORDS, generator=torch.Generator().manual_seed(seed)) * 2


@pytest.mark.parametrize("seed", [0, 7, -1, 2**63])
def test_a_seed_makes_draws_repeatable(seed: int) -> None:
    rows = [row_of(some_logits(number)) for number in range(20)]
    one, other = (
        [sampler.choose(row, None) for row in rows] for sampler in map(Sampler, [Sampling(1.0, seed=seed)] * 2)
    )
    assert one == other


def test_greedy_takes_the_first_of_the_likeliest_that_is_allowed() -> None:
    logits = torch.zeros(WORDS)
    logits[[30, 20, 40]] = 1.0
    sampler, row = Sampler(Sampling()), row_of(logits)
    assert sampler.choose(row, None) == 20
    assert sampler.choose(row, Only(20, 30)) == 20
    assert sampler.choose(row, Only(30, 40, 50)) == 30
    assert sampler.choose(row, Only(51, 50)) == 50
    assert sampler.choose(row, Only(1499)) == 1499


def test_a_vocabulary_may_be_longer_or_shorter_than_the_tokenizers() -> None:
    logits = torch.arange(100.0)
    for sampler in (Sampler(Sampling()), Sampler(Sampling(0.01, seed=1))):
        assert sampler.choose(row_of(logits), Only(3, 5, of=64)) == 5
        assert sampler.choose(row_of(logits), Only(3, 98, of=200)) == 98


def test_nothing_is_drawn_where_a_token_is_forced() -> None:
    row, asked, free = row_of(some_logits()), Sampler(Sampling(1.0, seed=3)), Sampler(Sampling(1.0, seed=3))
    assert asked.choose(row, Only(77, forced=77)) == 77
    assert [asked.choose(row, None) for _ in range(10)] == [free.choose(row, None) for _ in range(10)]


def test_rows_with_what_is_no_number_are_told_from_sound_ones() -> None:
    logits = torch.zeros(4, 100)
    logits[1, 3], logits[2, 5], logits[3] = math.nan, math.inf, -math.inf
    assert [row.sound for row in rows_of(logits)] == [True, False, False, False]
