"""What waking up costs on this machine: much of what `overheads.py` finds.

A little work, a few microseconds of it where a process has just done it, is timed again after the process has slept.
Caches are cold then everywhere; on a virtual machine whose host watches or moves memory, it can take a hundred times as
long, and every process that is woken once a step pays for it once a step.
"""

import json
import re
import statistics
import time
from dataclasses import asdict, dataclass
from typing import Any

SLEEPS = (0.005, 0.02, 0.1, 1.0)  # seconds; a step of the default model takes 10 to 25 ms
TIMES = 7
CONTENT = {"name": "search", "arguments": {"query": "how cold a process is", "limit": 3}}


@dataclass(frozen=True, slots=True)
class Waking:
    """Microseconds that the same work takes, medians: without a sleep before it, and after each of `SLEEPS`."""

    awake: float
    after: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """The figures as data."""
        return asdict(self)


def measure() -> Waking:
    """Measures in this process, on its cores; takes some 10 s."""
    for _ in range(TIMES):
        _work()
    awake = statistics.median(_work() for _ in range(TIMES))
    return Waking(
        awake, {f"{seconds:g} s": statistics.median(_slept(seconds) for _ in range(TIMES)) for seconds in SLEEPS}
    )


def _slept(seconds: float) -> float:
    time.sleep(seconds)
    return _work()


def _work() -> float:
    began = time.perf_counter()
    text = json.dumps(CONTENT)
    json.loads(text)
    re.sub(r"c[a-z]+", "x", text)
    sorted(text)
    return (time.perf_counter() - began) * 1e6
