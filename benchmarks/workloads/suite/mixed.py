"""Mixed: 24 completions at once, drawn from all workloads that need no other settings."""

import random
from collections.abc import Sequence

from benchmarks.workloads.workload import Workload

NAME, TITLE = "mixed", "Mixed, 24 at once"
COUNT = 24
ALONE = "script"  # its tables have fixed names: two at once would wait for one another


def drawn(workloads: Sequence[Workload], count: int = COUNT) -> list[Workload]:
    """So many, the same ones in every run: as many of each as of the others, in random order."""
    several = [workload for workload in workloads if not workload.settings and workload.name != ALONE]
    once = [workload for workload in workloads if workload.name == ALONE]
    found = [*once, *(several[number % len(several)] for number in range(count - len(once)))]
    random.Random(0).shuffle(found)
    return found
