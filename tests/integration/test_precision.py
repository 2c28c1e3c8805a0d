"""Fewer bits, the same model: perplexity on real text stays within a hundredth of transformers' in float32."""

import math
from pathlib import Path

import pytest
import torch

from decoder_service.engine.pages import pages_for
from decoder_service.engine.runner import ModelRunner
from decoder_service.engine.sequence import Piece, Sequence
from decoder_service.forward.architecture import architecture_of
from decoder_service.forward.kernels import open_kernels
from decoder_service.forward.runner import LeanRunner
from decoder_service.forward.weights import Precision, weights_of
from decoder_service.models.loader import LoadedModel

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("architecture.md", "operations.md", "tools.md", "faults.md")
TOKENS = 256  # of each page
WITHIN = 0.01

pytestmark = pytest.mark.timeout(240)  # the first test may have to convert the model


@pytest.fixture(scope="module", params=[TOKENS // 2, pytest.param(TOKENS, marks=pytest.mark.slow)])
def texts(model: LoadedModel, request: pytest.FixtureRequest) -> list[list[int]]:
    """Each page in texts of so many tokens: the shorter, the fewer steps, with more rows."""
    pages = [model.tokenizer.encode((DOCS / name).read_text()) for name in PAGES]
    length = request.param
    return [tokens[start : start + length] for tokens in pages for start in range(0, TOKENS, length)]


@pytest.fixture(scope="module")
def wanted(model: LoadedModel, texts: list[list[int]]) -> float:
    """Perplexity by transformers, in float32."""
    with torch.inference_mode():
        logits = model.model(torch.tensor(texts)).logits[:, :-1]
    return perplexity(logits.flatten(0, 1), texts)


def perplexity(logits: torch.Tensor, texts: list[list[int]]) -> float:
    """Of all texts together; `logits` is `[texts * (tokens - 1), vocabulary]`."""
    following = torch.tensor([text[1:] for text in texts]).flatten()
    return math.exp(torch.nn.functional.cross_entropy(logits, following))


def perplexity_in_steps(runner: ModelRunner, texts: list[list[int]]) -> float:
    """One token of each text a step, as they are when they are decoded."""
    length, found = len(texts[0]), []
    pages = pages_for(length)
    sequences = [Sequence(n, text, length, pages=[*range(n * pages, (n + 1) * pages)]) for n, text in enumerate(texts)]
    for _ in range(length - 1):
        found.append(runner.run([Piece(sequence, 1) for sequence in sequences]).clone())
    return perplexity(torch.stack(found, 1).flatten(0, 1), texts)


@pytest.mark.parametrize("bits", [None, 8, 4], ids=["bfloat16", "int8", "int4"])
def test_perplexity_is_that_of_the_whole_model(
    model: LoadedModel, texts: list[list[int]], wanted: float, bits: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    architecture, dtype = architecture_of(model.model.config), torch.bfloat16
    kernels = open_kernels(architecture, dtype)
    monkeypatch.setattr("decoder_service.forward.weights.settle", lambda *_: None)  # whichever is faster here
    weights = weights_of(model.model, architecture, Precision(dtype, bits), model.blocks, kernels, TOKENS)
    pages = len(texts) * pages_for(len(texts[0]))
    runner = LeanRunner(architecture, weights, kernels, pages, len(texts))
    found = perplexity_in_steps(runner, texts)
    print(f"perplexity {found:.3f}, wanted {wanted:.3f}")
    assert abs(found / wanted - 1) < WITHIN
