"""The lean forward pass against transformers' own, on small models with random weights."""

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, PretrainedConfig, PreTrainedModel, Qwen2Config

from decoder_service.engine.pages import pages_for
from decoder_service.engine.sequence import Piece, Sequence
from decoder_service.forward.architecture import architecture_of
from decoder_service.forward.kernels import open_kernels
from decoder_service.forward.runner import LeanRunner
from decoder_service.forward.weights import Precision, weights_of

CONTEXT = 128
SIZES = {
    "vocab_size": 100,
    "hidden_size": 128,
    "intermediate_size": 192,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 1e4,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
CONFIGS = {
    "llama": LlamaConfig(**SIZES),
    "llama, tied": LlamaConfig(**SIZES, tie_word_embeddings=True),
    "llama, scaled positions": LlamaConfig(**SIZES, rope_parameters=LLAMA3),
    "qwen2": Qwen2Config(**SIZES),
}


def random_model(config: PretrainedConfig) -> PreTrainedModel:
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with torch.inference_mode():
        for weight in model.parameters():  # norms and biases too, which begin as ones and zeros
            weight.add_(torch.randn_like(weight) * 0.3)
    return model


def lean(model: PreTrainedModel, pages: int, most_rows: int = 4) -> LeanRunner:
    architecture = architecture_of(model.config)
    kernels = open_kernels(architecture, torch.float32)
    weights = weights_of(model, architecture, Precision(torch.float32), None, kernels, CONTEXT)
    return LeanRunner(architecture, weights, kernels, pages, most_rows)


def sequences(lengths: list[int]) -> list[Sequence]:
    found, first = [], 0
    for id_, length in enumerate(lengths):
        pages = pages_for(length)
        found.append(
            Sequence(id_, torch.randint(0, 100, (length,)).tolist(), length, pages=[*range(first, first + pages)])
        )
        first += pages
    return found


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@torch.inference_mode()
def test_logits_are_transformers_in_any_company(config: PretrainedConfig) -> None:
    model = random_model(config)
    runner = lean(model, 16)
    first, second, third = sequences([50, 31, 70])

    def wanted(sequence: Sequence) -> torch.Tensor:
        return model(torch.tensor([sequence.tokens[: sequence.cached]])).logits[0, -1]

    steps = [
        [Piece(first, 49), Piece(second, 16)],
        [Piece(first, 1), Piece(third, 64), Piece(second, 1)],
        [Piece(second, 14)],
        [Piece(third, 6)],
    ]
    for pieces in steps:
        logits = runner.run(pieces)
        assert logits.dtype == torch.float32
        for piece, row in zip(pieces, logits, strict=True):
            assert torch.allclose(row, wanted(piece.sequence), atol=2e-4, rtol=1e-4)
    assert [each.cached for each in (first, second, third)] == [50, 31, 70]
