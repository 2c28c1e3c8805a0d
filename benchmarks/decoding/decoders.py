"""Which decoders there are, and how their programs are started."""

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.decoding.process import ROOT
from decoder_service.models import store
from decoder_service.models.errors import ModelNotFoundError

OURS = "conveyor"
ENVIRONMENTS = ROOT / ".peers"
NOT_INHERITED = {"PYTHONPATH", "VIRTUAL_ENV", "OMP_NUM_THREADS"}


class NotMadeError(Exception):
    """A decoder cannot be measured here; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A decoder that ours is measured against. `module`: its program, below `benchmarks.decoding.programs`."""

    module: str
    reads_gguf: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


PEERS = {
    "transformers": Peer("transformers"),
    "vllm": Peer("vllm", environment={"VLLM_CPU_KVCACHE_SPACE": "2"}),  # GiB, as much as ours has
    "llama.cpp": Peer("llama", reads_gguf=True),
}


@dataclass(frozen=True, slots=True)
class Model:
    """One model in both shapes: a directory that `from_pretrained` reads, and a file of 4-bit weights."""

    name: str
    directory: str
    gguf: str | None


@dataclass(frozen=True, slots=True)
class Setup:
    """What all decoders are given alike: threads and the most sequences of a batch; and what ours keeps its weights as,
    in the words of the decoder's settings."""

    threads: int
    sequences: int
    dtype: str = "auto"
    quantization: str = "auto"


@dataclass(frozen=True, slots=True)
class Start:
    """How a program is started."""

    command: list[str]
    environment: dict[str, str]


def find_model(name: str, gguf: Path | None) -> Model:
    """Catalogue name or directory; its GGUF file is the one that it came in, if no other is named.

    Raises ModelNotFoundError.
    """
    directory = store.locate(name)
    if not Path(directory).is_dir():
        raise ModelNotFoundError(f"no model {name!r}: neither in the catalogue nor a directory")
    found = gguf or store.gguf_of(name)
    return Model(name, directory, str(found) if found else None)


def made(environments: Path) -> list[str]:
    """Peers whose environment is there."""
    return [name for name in PEERS if (environments / name / ".installed").exists()]


def start_ours(model: Model, setup: Setup) -> Start:
    """Our engine, in the environment of the benchmark."""
    return _start(sys.executable, "ours", _open_mp(setup.threads), model.name, setup)


def start_peer(name: str, model: Model, environments: Path, setup: Setup) -> Start:
    """A peer in its own environment. Raises NotMadeError."""
    peer = PEERS[name]
    python = environments / name / "bin" / "python"
    if name not in made(environments):
        raise NotMadeError(f"{name} has no environment in {environments}: run `make peers`")
    weights = model.gguf if peer.reads_gguf else model.directory
    if weights is None:
        raise NotMadeError(f"{name} reads GGUF, and none is known of {model.name}: name it with --gguf FILE")
    environment = dict(peer.environment)
    bound = (
        vllm_threads(environments / name, sorted(os.sched_getaffinity(0))[: setup.threads])
        if name == "vllm"
        else _open_mp(setup.threads)
    )
    return _start(str(python), peer.module, environment | bound, weights, setup)


def _start(python: str, module: str, environment: Mapping[str, str], model: str, setup: Setup) -> Start:
    options = {"model": model} | asdict(setup)
    command = [
        python,
        "-m",
        f"benchmarks.decoding.programs.{module}",
        *(word for key, value in options.items() for word in (f"--{key}", str(value))),
    ]
    inherited = {key: value for key, value in os.environ.items() if key not in NOT_INHERITED}
    return Start(command, inherited | dict(environment))


def _open_mp(threads: int) -> dict[str, str]:
    return {"OMP_NUM_THREADS": str(threads)}


def vllm_threads(environment: Path, cores: Iterable[int]) -> dict[str, str]:
    """vLLM has a thread for each core that it is tied to, and wants the OpenMP that it brings to be loaded first."""
    bound = {"VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, cores))}
    library = environment / "lib" / "libiomp5.so"
    return bound | ({"LD_PRELOAD": str(library)} if library.exists() else {})
