"""Prints the lock: `python -m scripts.lock`, run by the environment that is to be locked.

One exact version for everything that the declared requirements pull in, nothing that merely happens to be there.
"""

from collections.abc import Iterable
from importlib.metadata import distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from scripts.requirements import declared

EXTRAS = ("decoder", "tools", "gateway", "dev")
HEADER = """\
# Made by `make lock`: the versions that are tested together. Constraints: a part installs only what it declares.
# No build suffix: pip may take `torch==2.13.0` as a CPU build or as a CUDA one."""


def closure(requirements: Iterable[str]) -> dict[str, str]:
    """Name to version of all that `requirements` bring in, as installed. PackageNotFoundError for what is not."""
    found: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [Requirement(line) for line in requirements]
    while waiting:
        requirement = waiting.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in seen or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        seen.add(key)
        installed = distribution(requirement.name)
        found[key[0]] = Version(installed.version).public
        for child in map(Requirement, installed.requires or ()):
            # A requirement behind an extra counts where that extra was asked for.
            extras = requirement.extras or {""}
            if child.marker is None or any(child.marker.evaluate({"extra": extra}) for extra in extras):
                child.marker = None
                waiting.append(child)
    return found


if __name__ == "__main__":
    print(HEADER)
    for name, version in sorted(closure(declared(*EXTRAS)).items()):
        print(f"{name}=={version}")
