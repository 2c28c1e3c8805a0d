"""Choosing tokens: the likeliest, and what a distribution says, drawn as often as it says."""

import math

import numpy as np
import pytest
import torch

from decoder_service.engine.sampler import Logits, Row, Sampler, Sampling, rows_of

WORDS = 1500
DRAWS = 20_000


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


def some_logits(seed: int = 0) -> torch.Tensor:
    return torch.randn(WORDS, generator=torch.Generator().manual_seed(seed)) * 2


def kept(logits: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """The distribution as it is defined: temperature, then `top_k`, then `top_p`, then what is left as a whole."""
    logits = (logits.double() - logits.max()) / sampling.temperature
    if sampling.top_k:
        logits[logits < logits.topk(sampling.top_k).values[-1]] = -math.inf
    falling, order = logits.softmax(-1).sort(descending=True)
    falling[falling.cumsum(-1) - falling >= sampling.top_p] = 0
    return torch.zeros_like(falling).scatter(0, order, falling / falling.sum())


def deviation(counts: torch.Tensor, expected: torch.Tensor) -> float:
    """Chi-square's distance from its mean, in standard deviations; what is rare is taken together."""
    often = expected >= 5
    seen = torch.cat([counts[often], counts[~often].sum()[None]])
    wanted = torch.cat([expected[often], expected[~often].sum()[None]])
    there = wanted > 1e-9
    statistic = float(((seen - wanted)[there] ** 2 / wanted[there]).sum())
    freedom = int(there.sum()) - 1
    return (statistic - freedom) / math.sqrt(2 * freedom)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(1.0, seed=1),
        Sampling(0.7, seed=2),
        Sampling(1.0, top_k=40, seed=3),
        Sampling(1.0, top_p=0.8, seed=4),
        Sampling(2.0, top_p=0.999, seed=5),
        Sampling(0.8, top_p=0.9, top_k=200, seed=6),
    ],
)
@pytest.mark.parametrize("masked", [False, True])
def test_tokens_come_as_often_as_their_probability_says(sampling: Sampling, masked: bool) -> None:
    logits, sampler = some_logits(), Sampler(sampling)
    rule = Only(*range(0, WORDS, 3)) if masked else None
    allowed = logits.clone()
    if masked:
        allowed[[token for token in range(WORDS) if token % 3]] = -math.inf
    row = row_of(logits)
    draws = torch.tensor([sampler.choose(row, rule) for _ in range(DRAWS)])
    expected = kept(allowed, sampling) * DRAWS
    counts = draws.bincount(minlength=WORDS)
    assert not counts[expected == 0].any()
    assert abs(deviation(counts, expected)) < 4


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
