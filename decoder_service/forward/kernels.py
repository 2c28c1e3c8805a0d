"""The kernels in `native/`, built when they are first needed. Plain C calls over raw memory: no header of torch's is
needed, and building takes seconds.

A compiled library is looked for beside this file, where an image's build puts it, and in the cache folder; if there is
none and the machine has a C++ compiler, it is built into the cache folder, which takes a few seconds. Its name holds a
hash of the sources, so that a change makes another. `python -m decoder_service.forward.kernels FOLDER` builds those for
all processors of this machine's family.

OpenMP's threads are torch's own: both name their library libgomp.so.1, and the one that torch has loaded serves here
too.
"""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import structlog
import torch

from decoder_service.forward.architecture import Architecture, NotLeanError
from decoder_service.forward.groups import FEW_BITS, MANY_BITS
from protos.rpc.settings import cache_folder

SOURCES = Path(__file__).with_name("native")
BUILD_SECONDS = 120.0
# Sums keep their order, so that a row's numbers don't depend on which of several loops it is in.
COMPILE = ["-std=c++17", "-O3", "-fPIC", "-fopenmp", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"]
COMPILE += ["-Wno-psabi"]
AVX512 = {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
PAIRS_LEVEL = "x86-64-v4-bf16"
X86_LEVELS = {  # of the x86-64 psABI, some with products of few bits; with what each needs of /proc/cpuinfo
    "x86-64-v4-amx": AVX512 | {"avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16"},
    PAIRS_LEVEL: AVX512 | {"avx512_vnni", "avx512_bf16"},
    "x86-64-v4-vnni": AVX512 | {"avx512_vnni"},
    "x86-64-v4": AVX512,
    "x86-64-v3": {"avx2", "bmi2", "f16c", "fma"},
}
PRODUCTS = {
    "-vnni": ["-mavx512vnni"],
    "-bf16": ["-mavx512vnni", "-mavx512bf16", "-DPAIRS_OF_BFLOAT16"],
    "-amx": ["-mavx512vnni", "-mavx512bf16", "-mamx-tile", "-mamx-bf16"],
}
ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA = 158, 0x1023, 18  # of Linux on x86-64
NAMES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}

log = structlog.get_logger()

_P, _I, _F = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float
_ADD_NORM = (_P, _P, _P, _P, _I, _I, _F)
_GATE = (_P, _P, _I, _I)
_PRODUCT = (_P, _P, _P, _P, _I, _I, _I)
_ATTEND = (_P, _P, _P, _P, _I, _P, _P, _P, _P, _I, _P, _I, _I, _I, _I, _F)


class Kernels:
    """The kernels for one model and `dtype`. All take addresses of contiguous tensors; `rows` are tokens of a step."""

    def __init__(self, library: ctypes.CDLL, architecture: Architecture, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self._add_norm = _function(library, f"add_norm_{NAMES[dtype]}", _ADD_NORM)
        self._gate = _function(library, f"gate_{NAMES[dtype]}", _GATE)
        self._attend = _function(library, f"attend_{NAMES[dtype]}", _ATTEND)
        self._products = {
            (bits, out): _function(library, f"product_{bits}_{_from_to(dtype, out)}", _PRODUCT)
            for bits in (FEW_BITS, MANY_BITS)
            for out in (dtype, torch.float32)
        }
        self._hidden, self._intermediate = architecture.hidden, architecture.intermediate
        self._epsilon = architecture.epsilon
        self._heads = (architecture.query_heads, architecture.kv_heads, architecture.head_dim)
        self._scale = architecture.head_dim**-0.5

    def add_norm(self, residual: int, delta: int | None, weight: int, out: int, rows: int) -> None:
        """Adds `delta` to the float32 `residual`, and writes its RMS norm times the float32 `weight`."""
        self._add_norm(residual, delta, weight, out, rows, self._hidden, self._epsilon)

    def gate(self, gate_up: int, out: int, rows: int) -> None:
        """silu(gate) * up of `[rows, 2 * intermediate]`."""
        self._gate(gate_up, out, rows, self._intermediate)

    def product(self, bits: int, out: torch.dtype) -> "ctypes._NamedFuncPointer":
        """The product with weights of 4 or 8 bits. `out`: of the outputs, the model's own dtype or float32.

        Takes their records (`groups`), inputs `[rows, in]`, a bias `[out]` or None, outputs `[rows, out]`, and the
        numbers of rows, inputs and outputs.
        """
        return self._products[bits, out]

    def attend(
        self,
        qkv: int,
        angles: tuple[int, int],
        tables: tuple[int, int],
        sequences: int,
        positions: int,
        pool: tuple[int, int, int],
        out: int,
        rows: int,
    ) -> None:
        """Rotates queries and keys, stores keys and values in their pages, attends.

        `angles`: cosines and sines, float32 `[context, head_dim / 2]`. `tables`: pages of each sequence, int32
        `[sequences, width]`, and their width. `sequences` and `positions`: of each row, int32. `pool`: a layer's keys
        and values in page 0, and the numbers from a page to the next (`native/attention.cpp`).
        """
        self._attend(qkv, *angles, *tables, sequences, positions, *pool, out, rows, *self._heads, self._scale)


def open_kernels(architecture: Architecture, dtype: torch.dtype) -> Kernels:
    """The best kernels that can be had, built if need be. Raises NotLeanError where there are none."""
    if dtype not in NAMES:
        raise NotLeanError(f"there are no kernels for {dtype}")
    problem = NotLeanError("there are no kernels for this processor")
    for level in levels():
        try:
            return Kernels(open_library(level), architecture, dtype)
        except NotLeanError as error:  # an old compiler may not know what the best level needs
            problem = error
    raise problem


def open_library(level: str) -> ctypes.CDLL:
    """The kernels for a level, built if need be. Raises NotLeanError."""
    return ctypes.CDLL(str(_library(level)))


def build(level: str, folder: Path) -> Path:
    """Compiles for a level of the processor's family into a folder. Raises NotLeanError."""
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        raise NotLeanError("the kernels are not built, and there is no C++ compiler: install g++")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".kernels-") as made:
        compiled, linked = [], Path(made, "kernels.so")
        for source in sorted(SOURCES.glob("*.cpp")):
            compiled.append(str(Path(made, source.stem).with_suffix(".o")))
            _run([compiler, "-c", *COMPILE, *_machine(level), str(source), "-o", compiled[-1]])
        _run([compiler, "-shared", "-fopenmp", *compiled, "-o", str(linked)])
        return linked.replace(folder / _file_name(level))


def _library(level: str) -> Path:
    own, cached = Path(__file__).with_name(_file_name(level)), cache_folder() / "kernels" / _file_name(level)
    for path in (own, cached):
        if path.exists():
            return path
    log.info("building kernels", level=level, folder=str(cached.parent))
    try:
        return build(level, cached.parent)
    except OSError as error:
        raise NotLeanError(f"the kernels cannot be built: {error}") from error


def levels() -> list[str]:
    """What is fast on this processor, the best first.

    Intel's multiply pairs of bfloat16 at a quarter of the rate of floats (vdpbf16ps of 512 bits, 0.59 ns against 0.15
    for vfmadd231ps on one with AMX): widening them first is faster, as the levels without such pairs do.
    """
    if platform.machine() != "x86_64":
        return [platform.machine()]
    described = Path("/proc/cpuinfo").read_text()
    flags = set(described.partition("\nflags")[2].partition("\n")[0].split())
    if "amx_tile" in flags and not _may_use_tiles():
        flags.discard("amx_tile")
    fast = X86_LEVELS.keys() - ({PAIRS_LEVEL} if "GenuineIntel" in described else set())
    return [level for level, needed in X86_LEVELS.items() if level in fast and needed <= flags]


def _may_use_tiles() -> bool:
    """Linux gives a process room for its tiles when it asks (Documentation/arch/x86/xstate.rst)."""
    refused: int = ctypes.CDLL(None).syscall(ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)
    return not refused


def _machine(level: str) -> list[str]:
    if level not in X86_LEVELS:
        return []
    base, products = level[: len("x86-64-v4")], level[len("x86-64-v4") :]
    return [f"-march={base}", "-mprefer-vector-width=512", *PRODUCTS.get(products, [])]


def _file_name(level: str) -> str:
    digest = hashlib.sha256(repr(COMPILE).encode())
    for source in sorted(SOURCES.iterdir()):
        digest.update(source.read_bytes())
    return f"kernels-{level}-{digest.hexdigest()[:12]}.so"


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=BUILD_SECONDS)
    except subprocess.CalledProcessError as error:
        raise NotLeanError(f"the kernels cannot be built: {error.stderr.strip().splitlines()[0]}") from error
    except subprocess.TimeoutExpired as error:
        raise NotLeanError(f"the kernels could not be built within {BUILD_SECONDS:g} s") from error


def _from_to(dtype: torch.dtype, out: torch.dtype) -> str:
    return NAMES[dtype] if out == dtype else f"{NAMES[dtype]}_to_{NAMES[out]}"


def _function(library: ctypes.CDLL, name: str, arguments: tuple[type, ...]) -> "ctypes._NamedFuncPointer":
    function = getattr(library, name)
    function.argtypes, function.restype = arguments, None
    return function  # type: ignore[no-any-return]


if __name__ == "__main__":
    for each in X86_LEVELS if platform.machine() == "x86_64" else levels():
        print(build(each, Path(sys.argv[1])))
