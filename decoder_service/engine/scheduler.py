"""Who runs in the next step. Pure policy: no torch, no clock, no I/O.

* A sequence is admitted only with the pages of its whole turn in hand, so a running sequence never lacks memory and
  every turn ends.
* A returning sequence goes before a new one; within each queue, first come, first served.
* Where pages lack, parked sequences give theirs up, the longest parked first, then returning ones from the queue's end.
  What they lose is computed again when they return.
* A chunk is as long as a machine runs in a tenth of a second, so that a cancel does not wait for it either.
* One step holds one chunk of one prompt and one token of every sequence that decodes, so that a long prompt delays the
  others by one chunk at most.
"""

from collections import deque
from dataclasses import dataclass

from decoder_service.engine.pages import PageBudget, pages_for
from decoder_service.engine.sequence import Piece, Sequence, State

FIRST_CHUNK = 64
LEAST_CHUNK = 16
CHUNK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Plan:
    """One step: a single forward pass over these pieces, those that decode first."""

    pieces: tuple[Piece, ...]

    def __bool__(self) -> bool:
        return bool(self.pieces)


class Scheduler:
    """Sequences by state, and the pages they hold."""

    def __init__(self, budget: PageBudget, max_running: int, prefill_chunk: int) -> None:
        self._budget = budget
        self._max_running = max_running
        self._most_chunk = prefill_chunk
        self._prefill_chunk = min(prefill_chunk, FIRST_CHUNK)
        self._waiting: deque[Sequence] = deque()
        self._returning: deque[Sequence] = deque()
        self._running: list[Sequence] = []
        self._parked: list[Sequence] = []

    @property
    def running(self) -> tuple[Sequence, ...]:
        """Sequences in the batch, oldest first."""
        return tuple(self._running)

    def counts(self) -> dict[str, int]:
        """Sequences by state."""
        queues = (self._waiting, self._running, self._parked, self._returning)
        return dict(zip(("waiting", "running", "parked", "returning"), map(len, queues), strict=True))

    def add(self, sequence: Sequence) -> None:
        """Queues a new sequence. Raises ValueError when its turn could not fit even into an empty cache."""
        self._refuse_impossible(sequence)
        self._waiting.append(sequence)

    def park(self, sequence: Sequence) -> None:
        """The turn of a running sequence has ended."""
        self._running.remove(sequence)
        sequence.state = State.PARKED
        self._parked.append(sequence)

    def resume(self, sequence: Sequence) -> None:
        """A parked sequence has new tokens and a new limit. Raises ValueError like `add`."""
        self._refuse_impossible(sequence)
        self._parked.remove(sequence)
        sequence.state = State.RETURNING
        self._returning.append(sequence)

    def remove(self, sequence: Sequence) -> None:
        """Forgets a sequence in whatever state and takes its pages back. Does nothing the second time."""
        if sequence.state is State.FINISHED:
            return
        queue = {
            State.WAITING: self._waiting,
            State.RUNNING: self._running,
            State.PARKED: self._parked,
            State.RETURNING: self._returning,
        }[sequence.state]
        queue.remove(sequence)
        self._evict(sequence)
        sequence.state = State.FINISHED

    def observe_chunk(self, tokens: int, seconds: float) -> None:
        """Learns how long a chunk took, and keeps the next ones near `CHUNK_SECONDS`."""
        if seconds > CHUNK_SECONDS:
            self._prefill_chunk = max(min(LEAST_CHUNK, self._most_chunk), self._prefill_chunk // 2)
        elif seconds < CHUNK_SECONDS / 4 and tokens == self._prefill_chunk:
            self._prefill_chunk = min(self._most_chunk, self._prefill_chunk * 2)

    def plan(self) -> Plan:
        """Admits whom it can, then says what the next step runs. Empty when there is nothing to do."""
        while self._admit_next():
            pass
        pieces = [Piece(sequence, 1) for sequence in self._running if sequence.uncached == 1]
        prefill = next((sequence for sequence in self._running if sequence.uncached > 1), None)
        if prefill is not None:
            pieces.append(Piece(prefill, min(prefill.uncached, self._prefill_chunk)))
        return Plan(tuple(pieces))

    def _admit_next(self) -> bool:
        queue = self._returning or self._waiting
        if not queue or len(self._running) >= self._max_running:
            return False
        sequence = queue[0]
        lacking = pages_for(sequence.limit) - len(sequence.pages)
        if not self._make_room(lacking, sequence):
            return False
        queue.popleft()
        sequence.pages += self._budget.take(max(0, lacking))
        sequence.state = State.RUNNING
        self._running.append(sequence)
        return True

    def _make_room(self, pages: int, wanted_by: Sequence) -> bool:
        victims = [s for s in (*self._parked, *reversed(self._returning)) if s.pages and s is not wanted_by]
        if pages > self._budget.free + sum(len(victim.pages) for victim in victims):
            return False
        for victim in victims:
            if pages <= self._budget.free:
                break
            self._evict(victim)
        return True

    def _evict(self, sequence: Sequence) -> None:
        self._budget.give_back(sequence.pages)
        sequence.pages = []
        sequence.cached = 0

    def _refuse_impossible(self, sequence: Sequence) -> None:
        if pages_for(sequence.limit) > self._budget.count:
            raise ValueError(f"{sequence.limit} tokens never fit into {self._budget.count} pages")
