"""The kernels against torch, in both dtypes: any mix of prompts and decoding, heads, lengths and pages."""

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F

from decoder_service.engine.pages import PAGE_TOKENS
from decoder_service.forward import kernels as kernels_module
from decoder_service.forward.architecture import Architecture, NotLeanError
from decoder_service.forward.kernels import Kernels, build, levels, open_kernels, open_library

TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 1e-2}
LEVELS = pytest.mark.parametrize("level", levels())  # all kinds of processors that this one can stand in for
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])


def shape(query_heads: int = 9, kv_heads: int = 3, head_dim: int = 64) -> Architecture:
    return Architecture(1, 64, 96, query_heads, kv_heads, head_dim, 1e-5)


def near(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    scale = wanted.float().abs().max().clamp(min=1)
    return bool((found.float() - wanted.float()).abs().max() <= TOLERANCE[found.dtype] * scale)


@DTYPES
@pytest.mark.parametrize("rows", [1, 3, 40])
def test_a_delta_joins_the_residual_and_the_norm_is_transformers(dtype: torch.dtype, rows: int) -> None:
    residual, weight = torch.randn(rows, 64), torch.randn(64)
    delta, out = torch.randn(rows, 64).to(dtype), torch.empty(rows, 64, dtype=dtype)
    wanted = residual + delta.float()
    kernels = open_kernels(shape(), dtype)
    kernels.add_norm(residual.data_ptr(), delta.data_ptr(), weight.data_ptr(), out.data_ptr(), rows)
    assert near(residual, wanted)
    assert near(out, F.rms_norm(wanted, (64,), weight, 1e-5))
    kernels.add_norm(residual.data_ptr(), None, weight.data_ptr(), out.data_ptr(), rows)
    assert near(residual, wanted)


@DTYPES
def test_the_gate_is_silu_also_far_from_zero(dtype: torch.dtype) -> None:
    gate_up = torch.randn(5, 192).to(dtype)
    gate_up[0, :8] = torch.tensor([-1e4, -100.0, -88.0, -20.0, 20.0, 88.0, 100.0, 1e4])
    out = torch.empty(5, 96, dtype=dtype)
    open_kernels(shape(), dtype).gate(gate_up.data_ptr(), out.data_ptr(), 5)
    assert near(out, F.silu(gate_up[:, :96].float()) * gate_up[:, 96:].float())


class Cache:
    """A pool with pages in disorder, and what the sequences in it ought to have."""

    def __init__(self, architecture: Architecture, level: str, dtype: torch.dtype, lengths: list[int]) -> None:
        self.architecture, self.dtype, self.lengths = architecture, dtype, lengths
        self.kernels = Kernels(open_library(level), architecture, dtype)
        pages = [math.ceil(length / PAGE_TOKENS) for length in lengths]
        width, order = max(pages), torch.randperm(sum(pages)).int()
        self.tables = torch.zeros(len(lengths), width, dtype=torch.int32)
        for row, own in enumerate(order.split(pages)):
            self.tables[row, : len(own)] = own
        size = architecture.kv_heads * architecture.head_dim * PAGE_TOKENS
        self.pool = torch.zeros(sum(pages), 2, size, dtype=dtype)
        angles = torch.randn(max(lengths), architecture.head_dim // 2)
        self.cosines, self.sines = angles.cos(), angles.sin()
        self.qkv = [torch.randn(length, architecture.qkv_width).to(dtype) for length in lengths]

    def attend(self, pieces: list[tuple[int, int, int]]) -> list[torch.Tensor]:
        """Runs tokens `[start, end)` of each `(sequence, start, end)` in one step."""
        qkv = torch.cat([self.qkv[sequence][start:end] for sequence, start, end in pieces])
        counts = [end - start for _, start, end in pieces]
        sequences = torch.tensor([s for (s, _, _), n in zip(pieces, counts, strict=True) for _ in range(n)]).int()
        positions = torch.cat([torch.arange(start, end) for _, start, end in pieces]).int()
        a = self.architecture
        out = torch.full((len(qkv), a.query_heads * a.head_dim), math.nan, dtype=self.dtype)
        self.kernels.attend(
            qkv.data_ptr(),
            (self.cosines.data_ptr(), self.sines.data_ptr()),
            (self.tables.data_ptr(), self.tables.shape[1]),
            sequences.data_ptr(),
            positions.data_ptr(),
            (self.pool.data_ptr(), self.pool[0, 1].data_ptr(), self.pool.stride(0)),
            out.data_ptr(),
            len(qkv),
        )
        return list(out.split(counts))

    def wanted(self, sequence: int) -> torch.Tensor:
        """Attention of a whole sequence, by torch."""
        a, length = self.architecture, self.lengths[sequence]
        heads = self.qkv[sequence].float().view(length, -1, a.head_dim).transpose(0, 1)
        query, key, value = heads.split([a.query_heads, a.kv_heads, a.kv_heads])
        query, key = self._turned(query, length), self._turned(key, length).to(self.dtype).float()
        found = F.scaled_dot_product_attention(query[None], key[None], value[None], is_causal=True, enable_gqa=True)
        return found[0].transpose(0, 1).reshape(length, -1)

    def _turned(self, heads: torch.Tensor, length: int) -> torch.Tensor:
        low, high = heads.chunk(2, -1)
        c, s = self.cosines[:length], self.sines[:length]
        return torch.cat((low * c - high * s, high * c + low * s), -1)


@LEVELS
@DTYPES
@pytest.mark.parametrize(
    ("query_heads", "kv_heads", "head_dim"), [(9, 3, 64), (4, 4, 32), (12, 2, 128), (14, 1, 64), (26, 2, 32)]
)
def test_attention_is_torchs_for_chunks_and_single_tokens_in_one_step(
    level: str, dtype: torch.dtype, query_heads: int, kv_heads: int, head_dim: int
) -> None:
    cache = Cache(shape(query_heads, kv_heads, head_dim), level, dtype, [37, 16, 1, 50])
    first = cache.attend([(0, 0, 20), (1, 0, 15), (3, 0, 33)])
    then = cache.attend([(1, 15, 16), (0, 20, 37), (2, 0, 1), (3, 33, 49)])
    last = cache.attend([(3, 49, 50)])
    parts = {0: [first[0], then[1]], 1: [first[1], then[0]], 2: [then[2]], 3: [first[2], then[3], last[0]]}
    for sequence, found in parts.items():
        assert near(torch.cat(found), cache.wanted(sequence))


@DTYPES
def test_a_model_with_wider_heads_may_follow_one_with_more_of_them(dtype: torch.dtype) -> None:
    level = levels()[0]
    many, wide = Cache(shape(32, 32, 32), level, dtype, [200]), Cache(shape(2, 1, 512), level, dtype, [40])
    with ThreadPoolExecutor(1) as thread:  # whose room for what attention keeps is as new as in a process
        found = [thread.submit(each.attend, [(0, 0, each.lengths[0])]).result() for each in (many, wide, many)]
    assert near(found[0][0], many.wanted(0)) and near(found[1][0], wide.wanted(0))
    assert torch.equal(found[2][0], found[0][0])


@LEVELS
@DTYPES
def test_a_page_that_another_left_in_disorder_is_not_felt(level: str, dtype: torch.dtype) -> None:
    cache = Cache(shape(), level, dtype, [20])
    cache.pool.fill_(math.nan)
    (found,) = cache.attend([(0, 0, 20)])
    assert near(found, cache.wanted(0))


def test_a_nan_stays_one_in_bfloat16() -> None:
    gate_up = torch.full((1, 192), math.nan, dtype=torch.bfloat16)
    out = torch.zeros(1, 96, dtype=torch.bfloat16)
    open_kernels(shape(), torch.bfloat16).gate(gate_up.data_ptr(), out.data_ptr(), 1)
    assert out.isnan().all()


def test_without_a_compiler_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(kernels_module.shutil, "which", lambda _: None)
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(NotLeanError, match=r"install g\+\+"):
        build("x86-64-v3", tmp_path)


def test_where_the_best_level_cannot_be_built_the_next_one_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def open_or_fail(level: str) -> object:
        tried.append(level)
        if len(tried) == 1:
            raise NotLeanError("unknown option")
        return open_library(level)

    monkeypatch.setattr(kernels_module, "levels", lambda: ["the best", levels()[-1]])
    monkeypatch.setattr(kernels_module, "open_library", open_or_fail)
    assert open_kernels(shape(), torch.float32).dtype == torch.float32
    assert tried == ["the best", levels()[-1]]


def test_a_compiler_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(kernels_module, "COMPILE", ["--no-such-flag"])
    with pytest.raises(NotLeanError, match=r"no-such-flag"):
        build("x86-64-v3", tmp_path)
    assert not list(tmp_path.iterdir())
