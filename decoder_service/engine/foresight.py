"""What grammars allow next, found in a thread of its own while the model runs.

llguidance lets go of the interpreter lock while it searches, and the forward pass for nearly all of its time, so the
two run side by side; whoever chooses waits only for what is not found by then.

That needs a core which the forward pass leaves free, as it does unless told otherwise. Where it takes them all, each of
its threads waits for the one whose core the search is on: a step of 8 sequences that draw tokens took 4 % longer with
their grammars foreseen on two cores of two, and 1 % when each was asked where it chose.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent import futures
from contextlib import contextmanager, suppress

import torch

from decoder_service.text.grammar import Grammar


class Foresight:
    """Has a thread once there is a grammar and a core for it."""

    def __init__(self) -> None:
        self._pool = futures.ThreadPoolExecutor(1, "grammars")
        self._has_core = torch.get_num_threads() < len(os.sched_getaffinity(0))

    @contextmanager
    def of(self, grammars: Sequence[Grammar]) -> Iterator[None]:
        """Has these grammars foresee what may come next while its block runs; they have when the block is left."""
        work = self._pool.submit(_foresee, grammars) if grammars and self._has_core else None
        try:
            yield
        finally:
            if work is not None:
                work.result()

    def close(self) -> None:
        """Ends the thread."""
        self._pool.shutdown()


def _foresee(grammars: Sequence[Grammar]) -> None:
    for grammar in grammars:
        with suppress(Exception):  # it comes up again where the sequence chooses, which then fails alone
            grammar.foresee()
