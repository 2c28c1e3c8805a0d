"""Memory for weights and keys is what was asked for, whatever pages the system gives."""

import mmap

import pytest
import torch

from decoder_service.engine import memory
from decoder_service.engine.memory import ALIGNMENT, Arena, huge


def test_a_tensor_has_its_shape_and_zeros() -> None:
    tensor = huge((3, 5), torch.bfloat16)
    assert (tensor.shape, tensor.dtype) == ((3, 5), torch.bfloat16)
    assert torch.equal(tensor, torch.zeros(3, 5, dtype=torch.bfloat16))


def test_without_huge_pages_there_are_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.mmap, "MADV_HUGEPAGE", 10**6)  # EINVAL
    assert huge((mmap.PAGESIZE,), torch.uint8).sum() == 0


def test_an_arena_keeps_tensors_apart_and_aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "ARENA_BYTES", 8192)
    arena = Arena()
    given = [torch.randint(0, 256, (size, 10), dtype=torch.uint8) for size in (7, 100, 500, 2000, 3)]
    kept = [arena.keep(each) for each in given]
    for wanted, found in zip(given, kept, strict=True):
        assert torch.equal(found, wanted)
        assert found.data_ptr() % ALIGNMENT == 0
