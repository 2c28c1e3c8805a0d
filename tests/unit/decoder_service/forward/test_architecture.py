"""Which models the lean forward pass takes, and why not the others."""

import pytest
from transformers import GPT2Config, LlamaConfig, PretrainedConfig, Qwen2Config, Qwen3Config

from decoder_service.forward.architecture import Architecture, NotLeanError, architecture_of

SIZES = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4}


@pytest.mark.parametrize("kind", [LlamaConfig, Qwen2Config])
def test_the_shape_is_what_the_configuration_says(kind: type[PretrainedConfig]) -> None:
    config = kind(**SIZES, num_key_value_heads=2, rms_norm_eps=1e-6)
    assert architecture_of(config) == Architecture(2, 128, 256, 4, 2, 32, 1e-6)
    assert architecture_of(config).qkv_width == 256


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (GPT2Config(), "gpt2 is none of"),
        (Qwen3Config(**SIZES), "qwen3 is none of"),
        (LlamaConfig(**SIZES, num_key_value_heads=2, hidden_act="gelu"), "activation is gelu"),
        (LlamaConfig(**{**SIZES, "hidden_size": 120}, num_key_value_heads=2), "multiple"),
        (LlamaConfig(**{**SIZES, "num_attention_heads": 8}, num_key_value_heads=2), "multiple"),
        (LlamaConfig(**SIZES, rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}), "dynamic"),
        (LlamaConfig(**SIZES, attention_bias=True), "biases"),
        (LlamaConfig(**SIZES, mlp_bias=True), "biases"),
        (Qwen2Config(**SIZES, use_sliding_window=True, sliding_window=64, max_window_layers=1), "attend to all"),
    ],
)
def test_what_it_cannot_run_is_said(config: PretrainedConfig, why: str) -> None:
    with pytest.raises(NotLeanError, match=why):
        architecture_of(config)
