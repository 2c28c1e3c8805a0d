"""Memory in huge pages, where the system has them: a step reads all weights and many scattered pages of the cache, and
with pages of 4 KiB it spends a third of its time looking up where they are.

What is asked for is taken at once, not when it is first written: a huge page would take a fifth of a millisecond then,
and on a virtual machine that gets it from its host 6 ms, for which all sequences of a step wait. And what is lacking is
lacking before anybody is served.
"""

import contextlib
import math
import mmap
import os

import numpy as np
import torch

ARENA_BYTES = 64 * 2**20
ALIGNMENT = 64  # bytes: a register, a line of the processor's cache


def huge(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """A tensor of zeros in memory of its own."""
    memory = _mapped(math.prod(shape) * dtype.itemsize)
    threads = torch.get_num_threads()
    torch.set_num_threads(len(os.sched_getaffinity(0)))  # nothing else runs yet
    memory.zero_()
    torch.set_num_threads(threads)
    return memory.view(dtype).view(shape)


class Arena:
    """Many tensors side by side, so that small ones share huge pages."""

    def __init__(self) -> None:
        self._free = torch.empty(0, dtype=torch.uint8)

    def keep(self, tensor: torch.Tensor) -> torch.Tensor:
        """A copy of a uint8 tensor."""
        room = -(-tensor.numel() // ALIGNMENT) * ALIGNMENT
        if room > len(self._free):
            self._free = _mapped(max(room, ARENA_BYTES))
        place, self._free = self._free[: tensor.numel()].view(tensor.shape), self._free[room:]
        return place.copy_(tensor)


def _mapped(size: int) -> torch.Tensor:
    memory = mmap.mmap(-1, max(size, mmap.PAGESIZE), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without them
            memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.from_numpy(np.frombuffer(memory, np.uint8)[:size])
