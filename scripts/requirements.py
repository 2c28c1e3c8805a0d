"""Prints what pyproject.toml declares, one requirement a line: `python scripts/requirements.py [EXTRA]...`.

The images install their dependencies from this before the code is copied, so that new code leaves that layer alone.
Standard library only: it runs before anything is installed.
"""

import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def declared(*extras: str) -> list[str]:
    """The shared requirements and those of `extras`. Raises KeyError for an extra that is not declared."""
    project = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]
    optional = project["optional-dependencies"]
    return [*project["dependencies"], *(line for extra in extras for line in optional[extra])]


if __name__ == "__main__":
    print(*declared(*sys.argv[1:]), sep="\n")
