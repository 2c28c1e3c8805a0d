"""What the sampler draws: by Pearson's chi-square test, the exact softmax under its settings."""

import itertools

import numpy as np
import numpy.typing as npt
import pytest
import torch

from decoder_service.engine.messages import Sampling
from decoder_service.engine.sampler import Logits, Row, Sampler, rows_of

Floats = npt.NDArray[np.float64]

DRAWS = 4000
POOLED_BELOW = 5  # expected counts under which the approximation by a chi-square does not hold
LEAST_P = 1e-4
LOGITS = torch.from_numpy(np.random.default_rng(11).normal(0, 2, 48)).float()
SETTINGS = [
    Sampling(temperature=1.0, seed=1),
    Sampling(temperature=0.6, seed=2),
    Sampling(temperature=2.0, seed=3),
    Sampling(temperature=1.0, top_k=7, seed=4),
    Sampling(temperature=1.0, top_p=0.7, seed=5),
    Sampling(temperature=1.4, top_p=0.9, seed=6),
    Sampling(temperature=1.4, top_p=0.8, top_k=12, seed=7),
]


class Allowing:
    def __init__(self, allowed: npt.NDArray[np.bool_]) -> None:
        self._allowed = allowed

    def forced(self) -> None:
        return None

    def allows(self, token: int) -> bool:
        return bool(self._allowed[token])

    def filter(self, logits: Logits) -> Logits:
        return np.where(self._allowed, logits, np.float32(-np.inf))

    def likeliest(self, logits: Logits) -> int:
        return int(self.filter(logits).argmax())


def row_of(logits: torch.Tensor) -> Row:
    return rows_of(logits[None])[0]


def exact(logits: torch.Tensor, sampling: Sampling, allowed: npt.NDArray[np.bool_] | None = None) -> Floats:
    """The probabilities that are asked for, in float64: by temperature, then the `top_k` likeliest, then the fewest
    likeliest that have `top_p` together."""
    scaled = logits.double().numpy() / sampling.temperature
    if allowed is not None:
        scaled = np.where(allowed, scaled, -np.inf)
    order = np.argsort(-scaled)
    weights = np.exp(scaled[order] - scaled[order[0]])
    if sampling.top_k:
        weights[sampling.top_k :] = 0
    share = np.cumsum(weights) / weights.sum()
    weights[int(np.searchsorted(share, sampling.top_p)) + 1 :] = 0
    probabilities = np.empty_like(weights)
    probabilities[order] = weights / weights.sum()
    return probabilities


def p_value(counts: Floats, probabilities: Floats) -> float:
    """How likely counts at least this far from these probabilities are; 0 where something impossible was drawn.

    Counts with few expected are pooled; with k pools the statistic has k - 1 degrees of freedom, and the upper tail of
    a chi-square at x is the regularised incomplete gamma function Q((k - 1) / 2, x / 2).
    """
    if counts[probabilities == 0].any():
        return 0.0
    order = np.argsort(-probabilities)
    observed, expected = [0.0], [0.0]
    for count, mean in zip(counts[order], counts.sum() * probabilities[order], strict=True):
        if expected[-1] >= POOLED_BELOW:
            observed.append(0.0)
            expected.append(0.0)
        observed[-1] += count
        expected[-1] += mean
    if expected[-1] < POOLED_BELOW:
        observed[-2:], expected[-2:] = [sum(observed[-2:])], [sum(expected[-2:])]
    statistic = sum((o - e) ** 2 / e for o, e in zip(observed, expected, strict=True))
    return float(
        torch.special.gammaincc(
            torch.tensor((len(expected) - 1) / 2, dtype=torch.float64), torch.tensor(statistic / 2, dtype=torch.float64)
        )
    )


def drawn(sampler: Sampler, mask: Allowing | None = None) -> Floats:
    row = row_of(LOGITS)
    tokens = [sampler.choose(row, mask) for _ in range(DRAWS)]
    return np.bincount(tokens, minlength=len(LOGITS)).astype(np.float64)


@pytest.mark.parametrize("sampling", SETTINGS, ids=str)
def test_draws_are_distributed_as_the_exact_softmax(sampling: Sampling) -> None:
    assert p_value(drawn(Sampler(sampling)), exact(LOGITS, sampling)) > LEAST_P


@pytest.mark.parametrize("period", [3, -4], ids=["most may come", "few may come"])
@pytest.mark.parametrize("sampling", SETTINGS, ids=str)
def test_draws_under_a_mask_are_distributed_as_the_softmax_of_what_is_allowed(sampling: Sampling, period: int) -> None:
    allowed = (np.arange(len(LOGITS)) % abs(period) != 0) == (period > 0)
    counts = drawn(Sampler(sampling), Allowing(allowed))
    assert p_value(counts, exact(LOGITS, sampling, allowed)) > LEAST_P


@pytest.mark.parametrize("sampling", SETTINGS, ids=str)
def test_the_first_draws_of_seeds_that_follow_each_other_are_independent(sampling: Sampling) -> None:
    fields = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}
    row = row_of(LOGITS)
    tokens = [Sampler(Sampling(**fields, seed=seed)).choose(row, None) for seed in range(DRAWS)]
    probabilities = exact(LOGITS, sampling)
    assert p_value(np.bincount(tokens, minlength=len(LOGITS)).astype(np.float64), probabilities) > LEAST_P
    pairs = np.zeros((2, 2))
    likely = np.argsort(-probabilities)[0]
    for first, second in itertools.pairwise(np.array(tokens) == likely):
        pairs[int(first), int(second)] += 1
    share = probabilities[likely]
    expected = np.outer([1 - share, share], [1 - share, share])
    assert p_value(pairs.ravel(), expected.ravel()) > LEAST_P


def test_a_large_vocabulary_is_drawn_from_as_well() -> None:
    logits = torch.from_numpy(np.random.default_rng(12).normal(0, 3, 20_000)).float()
    sampling = Sampling(temperature=1.0, top_p=0.95, seed=13)
    sampler = Sampler(sampling)
    row = row_of(logits)
    counts = np.bincount([sampler.choose(row, None) for _ in range(DRAWS // 2)], minlength=len(logits))
    assert p_value(counts.astype(np.float64), exact(logits, sampling)) > LEAST_P


WRONG = {
    "temperature ignored": (Sampling(temperature=1.0, seed=1), Sampling(temperature=0.6)),
    "temperature off by a tenth": (Sampling(temperature=1.1, seed=1), Sampling(temperature=1.0)),
    "top_p too small": (Sampling(temperature=1.4, top_p=0.7, seed=1), Sampling(temperature=1.4, top_p=0.9)),
    "top_k ignored": (Sampling(temperature=1.0, seed=1), Sampling(temperature=1.0, top_k=7)),
    "top_k one too many": (Sampling(temperature=1.0, top_k=8, seed=1), Sampling(temperature=1.0, top_k=7)),
    "top_k one too few": (Sampling(temperature=1.0, top_k=6, seed=1), Sampling(temperature=1.0, top_k=7)),
    "top_p ignored": (Sampling(temperature=1.0, seed=1), Sampling(temperature=1.0, top_p=0.7)),
}


@pytest.mark.parametrize(("wrong", "asked"), WRONG.values(), ids=WRONG)
def test_a_sampler_that_draws_otherwise_would_be_noticed(wrong: Sampling, asked: Sampling) -> None:
    assert p_value(drawn(Sampler(wrong)), exact(LOGITS, asked)) < LEAST_P


def test_a_token_too_few_or_too_many_within_top_p_would_be_noticed() -> None:
    sampling = Sampling(temperature=1.0, top_p=0.7, seed=1)
    counts, probabilities = drawn(Sampler(sampling)), exact(LOGITS, sampling)
    order = np.argsort(-exact(LOGITS, Sampling(temperature=1.0)))
    kept = int((probabilities > 0).sum())
    for changed in (order[: kept - 1], order[: kept + 1]):
        other = np.zeros(len(LOGITS))
        other[changed] = exact(LOGITS, Sampling(temperature=1.0))[changed]
        assert p_value(counts, other / other.sum()) < LEAST_P


def test_the_p_value_is_that_of_the_tables() -> None:
    thirds = np.full(3, 1 / 3)
    # Two degrees of freedom: Q = exp(-x / 2); 40, 30 and 20 have x = 6.667 around 30.
    assert p_value(np.array([40.0, 30.0, 20.0]), thirds) == pytest.approx(np.exp(-10 / 3))
    assert p_value(np.array([30.0, 30.0, 30.0]), thirds) == 1.0
    assert p_value(np.array([30.0, 0.0, 1.0]), np.array([0.5, 0.5, 0.0])) == 0.0


def test_p_values_of_many_seeds_are_spread_evenly() -> None:
    sampling = Sampling(temperature=1.0, top_p=0.9)
    probabilities = exact(LOGITS, sampling)
    values, row = [], row_of(LOGITS)
    for seed in range(40):
        sampler = Sampler(Sampling(temperature=1.0, top_p=0.9, seed=seed))
        tokens = [sampler.choose(row, None) for _ in range(300)]
        values.append(p_value(np.bincount(tokens, minlength=len(LOGITS)).astype(np.float64), probabilities))
    quarters = np.bincount((np.array(values) * 4).astype(int).clip(max=3), minlength=4)
    assert p_value(quarters.astype(np.float64), np.full(4, 0.25)) > LEAST_P
