"""Models and weights that tests share."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedModel

from decoder_service.engine import building
from decoder_service.forward.architecture import Architecture
from decoder_service.forward.weights import Weights
from decoder_service.models.loader import LoadedModel


@pytest.fixture(scope="session", autouse=True)
def packed_once() -> Iterator[None]:
    """Engines share packed weights, which nothing writes into, and which take a second or two to make.

    There are positions for the longest context, however long that of the engine is.
    """
    packed: dict[tuple[object, ...], Weights] = {}
    pack = building.weights_of

    def weights_of(model: PreTrainedModel, architecture: Architecture, precision: object, *rest: Any) -> Weights:
        *others, _ = rest
        if (model, precision) not in packed:
            context = model.config.max_position_embeddings
            packed[model, precision] = pack(model, architecture, precision, *others, context)
        return packed[model, precision]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "weights_of", weights_of)
        yield


@pytest.fixture(scope="session")
def small_model(default_model: LoadedModel) -> LoadedModel:
    """The default model's tokenizer with small random weights.

    A step takes a hundredth of the default model's, and what is likeliest hangs on every token before.
    """
    config = LlamaConfig(
        vocab_size=default_model.model.config.vocab_size,
        hidden_size=128,
        intermediate_size=192,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=default_model.context,
        tie_word_embeddings=True,
    )
    small = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    random = torch.Generator().manual_seed(3)
    with torch.inference_mode():
        for weight in small.parameters():  # norms too, which are ones
            weight.add_(torch.randn(weight.shape, generator=random) * 0.3)
    small.generation_config = default_model.model.generation_config
    return replace(default_model, name="small", model=small, blocks=None)


@pytest.fixture(params=["small_model", pytest.param("default_model", marks=pytest.mark.slow)])
def any_model(request: pytest.FixtureRequest) -> LoadedModel:
    """For what is the same whatever the model says and however long it takes: the small one, and at length both."""
    found: LoadedModel = request.getfixturevalue(request.param)
    return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Any]:
    """One Chromium for all tests of a worker."""
    from tests.integration.browser import chromium

    async with chromium() as running:
        yield running
