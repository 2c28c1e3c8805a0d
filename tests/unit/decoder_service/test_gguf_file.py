"""A GGUF file says what it holds, and one that is cut or changed is refused, not misread."""

from pathlib import Path

import gguf
import numpy as np
import pytest

from decoder_service.models.errors import DamagedModelError
from decoder_service.models.gguf_file import GgufFile
from tests.unit.decoder_service.packaged import CONTEXT, tiny_gguf


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with two tensors."""
    path = tmp_path / "two.gguf"
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_array("tokenizer.ggml.tokens", ["one", "two"])
    writer.add_string("name", "größer")
    writer.add_tensor("a", np.arange(6, dtype=np.float32).reshape(2, 3))
    writer.add_tensor("b", np.arange(34, dtype=np.uint8).reshape(1, 34), raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_what_the_file_says_of_the_model_is_read_and_arrays_are_stepped_over(tmp_path: Path) -> None:
    tiny_gguf(tmp_path / "tiny.gguf")
    file = GgufFile(tmp_path / "tiny.gguf")
    assert (file.architecture, file.context, file.quantisation) == ("llama", CONTEXT, "Q4_0")
    assert file.metadata["flag"] is True
    assert "tokenizer.ggml.tokens" not in file.metadata and "numbers" not in file.metadata


def test_tensors_are_found_by_name_with_their_shape_and_bytes(path: Path) -> None:
    file = GgufFile(path)
    assert (file.context, file.quantisation, file.metadata["name"]) == (None, None, "größer")
    assert file.tensors["a"].shape == (2, 3) and file.tensors["a"].kind == "F32"
    assert file.rows("a").view(np.float32).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert file.tensors["b"].shape == (1, 32) and file.rows("b").tolist() == [list(range(34))]
    assert file.parameter_count == 6 + 32


def test_a_file_that_is_cut_anywhere_is_refused(path: Path) -> None:
    content = path.read_bytes()
    last = GgufFile(path).tensors["b"]
    for length in range(last.offset + last.size):
        path.write_bytes(content[:length])
        with pytest.raises(DamagedModelError, match=r"two\.gguf"):
            GgufFile(path)


def test_a_head_that_is_changed_anywhere_is_read_or_refused_and_nothing_else(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for at in range(GgufFile(path).tensors["a"].offset):
        for value in (0, 127, 255):
            changed = bytearray(content)
            changed[at] = value
            path.write_bytes(changed)
            try:
                GgufFile(path)
            except DamagedModelError as error:
                assert "two.gguf" in str(error)


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"GGUF", b"hello, this is no model at all"):
        (tmp_path / "file").write_bytes(content)
        with pytest.raises(DamagedModelError, match="no GGUF file"):
            GgufFile(tmp_path / "file")
