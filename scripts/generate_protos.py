"""Generates the Python code of the contract: `python scripts/generate_protos.py [ROOT]`.

Made with the oldest generator that is supported, because the protobuf and grpcio runtimes refuse code newer than
themselves.
"""

import sys
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent


def generate(destination: Path) -> None:
    """Writes `protos/conveyor/*/v1/*_pb2*.py[i]` under `destination`. Raises SystemExit with protoc's status on
    failure."""
    sources = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("protos/conveyor/*/v1/*.proto"))
    outputs = (f"--{name}_out={destination}" for name in ("python", "pyi", "grpc_python", "mypy_grpc"))
    status = protoc.main(
        [
            "protoc",
            f"--proto_path={ROOT}",
            f"--proto_path={resources.files('grpc_tools') / '_proto'}",
            f"--plugin=protoc-gen-mypy_grpc={Path(sys.executable).parent / 'protoc-gen-mypy_grpc'}",
            *outputs,
            *(str(ROOT / source) for source in sources),
        ]
    )
    if status:
        raise SystemExit(status)


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
