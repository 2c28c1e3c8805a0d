import pytest

from benchmarks.decoding.decoders import OURS
from benchmarks.decoding.figures import Spread, batch_figures, bounds, decoder_figures, prefill_rate, ratio
from benchmarks.decoding.process import Answer
from benchmarks.decoding.rounds import Samples
from decoder_service.models.catalogue import DEFAULT


def samples(rate: float, *batches: int) -> Samples:
    """Of a decoder that decodes at this rate for each sequence."""
    return Samples(batches={size: [Answer(0.2, (1 / rate,) * 4, (size,) * 4, 0)] * 3 for size in batches})


def figures(**rates: float):
    names = {OURS: OURS, "llama": "llama.cpp"}
    return {names.get(name, name): decoder_figures(samples(rate, 1, 4, 8)) for name, rate in rates.items()}


def test_the_rate_is_that_of_the_steps_alone():
    each = batch_figures([Answer(100.0, (0.1, 0.3), (2, 2), 0)])
    assert each.rate == Spread(10.0, 10.0, 10.0)
    assert each.first.median == 100_000


def test_medians_are_over_rounds_with_their_spread():
    answers = [Answer(first, (step,), (1,), 0) for first, step in ((0.1, 0.5), (0.3, 0.1), (0.2, 0.25))]
    each = batch_figures(answers)
    assert each.rate == Spread(4.0, 2.0, 10.0)
    assert each.first == Spread(*(pytest.approx(value) for value in (200.0, 100.0, 300.0)))
    assert (each.p50, each.p99) == (250.0, 500.0)


def test_the_prompt_rate_needs_a_sample():
    assert prefill_rate(Samples(), 512) is None
    assert prefill_rate(Samples(prefills=[0.5, 1.0, 2.0]), 512) == Spread(512.0, 256.0, 1024.0)


def test_bounds_are_those_of_what_was_measured():
    found = bounds(DEFAULT, figures(conveyor=20.0, transformers=10.0, llama=19.0))
    assert [(bound.peer, bound.batch, bound.holds) for bound in found] == [
        ("transformers", 1, True),
        ("transformers", 8, True),
        ("llama.cpp", 1, False),
        ("llama.cpp", 4, False),
    ]
    assert found[0].value == pytest.approx(2.0)


def test_ratios_of_another_model_are_shown_and_bind_nobody():
    measured = figures(conveyor=20.0, transformers=30.0)
    assert ratio(measured, "transformers", 8) == pytest.approx(2 / 3)
    assert bounds("another", measured) == []


def test_a_rate_of_our_own_is_bounded_for_its_model():
    (bound,) = bounds("qwen2.5-coder-1.5b", figures(conveyor=11.0, transformers=3.0))
    assert (bound.peer, bound.batch, bound.least, bound.holds) == (None, 1, 12.0, False)


def test_without_our_own_figures_nothing_is_compared():
    assert ratio(figures(transformers=3.0), "transformers", 1) is None
    assert bounds(DEFAULT, figures(transformers=3.0)) == []
