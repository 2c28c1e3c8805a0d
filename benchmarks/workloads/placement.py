"""Which cores the services have."""

import os
import shutil
from dataclasses import dataclass, replace

from gateway.cli.processes import Service


@dataclass(frozen=True, slots=True)
class Placement:
    """Cores of the decoder, and those of everything else: tools, gateway, client, what the tools look at.

    `threads` are those of a forward pass.
    """

    decoder: frozenset[int]
    others: frozenset[int]
    threads: int

    @property
    def is_shared(self) -> bool:
        """Whether both compete for the same cores."""
        return bool(self.decoder & self.others)

    def pinned(self, service: Service) -> Service:
        """The service, kept to its cores."""
        cores = self.decoder if service.name == "decoder" else self.others
        return replace(service, command=(*self.prefix(cores), *service.command))

    @staticmethod
    def prefix(cores: frozenset[int]) -> tuple[str, ...]:
        """What keeps the command after it to these cores."""
        return (_taskset(), "--cpu-list", _listed(cores))

    def settle(self) -> None:
        """Keeps this process, and what it starts from now on, to the cores of the others."""
        os.sched_setaffinity(0, self.others)

    def __str__(self) -> str:
        if self.is_shared:
            return f"all services on cores {_listed(self.decoder)}, {self.threads} threads of a forward pass"
        return f"decoder on cores {_listed(self.decoder)}, the others on {_listed(self.others)}"


def apart(cores: frozenset[int]) -> Placement:
    """Half of the cores for the decoder. Raises ValueError where there is but one."""
    if len(cores) < 2:
        raise ValueError("decoder and tools need a core each; --shared measures on one")
    ordered = sorted(cores)
    half = len(ordered) // 2
    return Placement(frozenset(ordered[:half]), frozenset(ordered[half:]), half)


def shared(cores: frozenset[int]) -> Placement:
    """All cores for all; of threads as many as the decoder takes by itself, which leaves a core for the tools."""
    return Placement(cores, cores, max(1, len(cores) - 1))


def _taskset() -> str:
    found = shutil.which("taskset")
    if found is None:
        raise ValueError("taskset, of Debian's util-linux, is needed to keep services to their cores")
    return found


def _listed(cores: frozenset[int]) -> str:
    return ",".join(map(str, sorted(cores)))
