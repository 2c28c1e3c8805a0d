"""Whether anything grew: the trend of memory under load, and what is still held when nobody asks any more."""

import itertools
import statistics
from collections.abc import Mapping, Sequence

from benchmarks.soaking.watch import Counts, Held

MIB = 1 << 20

# What memory may grow by over the whole run, by its trend. A service that forgets nothing of a completion keeps its
# prompt, its tokens and its events: 20 KiB and more. An hour has some 12,000 completions, which would be 240 MiB; what
# is found in it is a leak of 4 KiB. Two minutes have 400, so only what loses 120 KiB with each is found, such as a page
# of the cache or a task with all it holds. The decoder grows by 30 MiB in the first two minutes after the warm-up,
# slower and slower. A part of that are the products that oneDNN compiles for each number of rows and keeps, 1,024 at
# most: with ONEDNN_PRIMITIVE_CACHE_CAPACITY=64 it was 12 MiB in a minute. What the rest is has not been found.
MOST_GROWTH = 48 * MIB
# Pools of threads fill up to a few more than the warm-up needed, and each connection of gRPC has a descriptor or two.
# What is lost with every request would be hundreds. A process more, as when the pool of workers gets its second one,
# has descriptors of its own, so these and threads are compared in the processes that lived at both times.
MOST_MORE = Counts(descriptors=8, threads=8)
MOST_MORE_PROCESSES = 1


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """Theil and Sen's: the median of the slopes between any two samples, which a few odd samples do not move. 0 for
    fewer than two."""
    points = list(zip(times, values, strict=True))
    slopes = [(w - v) / (u - t) for (t, v), (u, w) in itertools.combinations(points, 2) if u > t]
    return statistics.median(slopes) if slopes else 0.0


def growth(times: Sequence[float], values: Sequence[float]) -> float:
    """By how much the values grew from the first sample to the last, by their trend."""
    return slope(times, values) * (times[-1] - times[0]) if times else 0.0


def lasting_memory(samples: Sequence[Held]) -> list[int]:
    """Bytes in each sample, of those processes of a service that are in all of them."""
    lasting = set.intersection(*(set(held.memory_by_process) for held in samples)) if samples else set()
    return [sum(held.memory_by_process[pid] for pid in lasting) for held in samples]


def trends(times: Sequence[float], samples: Mapping[str, Sequence[Held]]) -> dict[str, float]:
    """Bytes by which each service's lasting processes grew under load. The decoder's engine is one, an interpreter is
    none."""
    return {name: growth(times, lasting_memory(each)) for name, each in samples.items()}


def complaints(grown: Mapping[str, float], before: Mapping[str, Held], after: Mapping[str, Held]) -> list[str]:
    """What is not flat, in sentences. `before` and `after`: with nobody asking."""
    found = [
        f"{name}: memory grows by {by / MIB:.1f} MiB over the run; {MOST_GROWTH / MIB:g} are allowed"
        for name, by in grown.items()
        if by > MOST_GROWTH
    ]
    for name, was in before.items():
        now = after[name]
        if now.memory_bytes - was.memory_bytes > MOST_GROWTH:
            more = (now.memory_bytes - was.memory_bytes) / MIB
            found.append(f"{name}: it holds {more:.1f} MiB more than before, with nobody asking")
        if now.processes > was.processes + MOST_MORE_PROCESSES:
            found.append(f"{name}: {now.processes} processes with nobody asking, {was.processes} before")
        lived = was.by_process.keys() & now.by_process.keys()
        for what, most in MOST_MORE._asdict().items():
            had, has = (sum(getattr(held.by_process[pid], what) for pid in lived) for held in (was, now))
            if has > had + most:
                found.append(f"{name}: {has} {what} with nobody asking, {had} before, in the same processes")
    return found
