"""Who runs in the next step. Pure policy: no torch, no clock, no I/O.

* A sequence is admitted only with the pages of its whole turn in hand, so a running sequence never lacks memory and
  every turn ends. It begins with the pages that are known of its prompt, whoever computed them (`pages`).
* A returning sequence goes before a new one; within each queue, first come, first served. It is admitted when a step
  can run its first tokens, so that it finds what those before it have computed until then.
* Where pages lack, parked sequences give theirs up, first the one whose tools are expected to be done last, then
  returning ones from the queue's end. What they lose is computed again when they return, unless it can still be found.
* One step holds a token of every sequence that decodes, or a few where a grammar forces them, and chunks of prompts, as
  many tokens as the machine can run without those that decode noticing much (`pace`). A quarter of these is for the new
  prompts that have begun, whoever returns, so that nobody starves.
* What of these tokens is left over goes to parked sequences of which it can be guessed what follows. They stay parked,
  and take only pages that are free and that nobody waits for. What was guessed is not shown to others.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from decoder_service.engine.pace import LEAST_CHUNK, Pace, most_rows
from decoder_service.engine.pages import PAGE_TOKENS, PageBudget, pages_for
from decoder_service.engine.sequence import Piece, Sequence, State

NEW_SHARE = 4


class NeverFitsError(ValueError):
    """A sequence that could not run even if it had the whole cache."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One step: a single forward pass over these pieces, the `decoding` ones first, then chunks of prompts.

    `may_draft`: no prompt wants its room, nor is it to tell what a step takes.
    """

    pieces: tuple[Piece, ...]
    decoding: int
    may_draft: bool = False

    @property
    def prefilled(self) -> int:
        """Tokens of prompts."""
        return sum(piece.count for piece in self.pieces[self.decoding :])

    def __bool__(self) -> bool:
        return bool(self.pieces)


class Scheduler:
    """Sequences by state, and the pages they hold. `prefill_chunk`: tokens of prompts in one step, at most;
    `least_chunk`: at least."""

    def __init__(
        self, budget: PageBudget, max_running: int, prefill_chunk: int, least_chunk: int = LEAST_CHUNK
    ) -> None:
        self._budget = budget
        self._max_running = max_running
        self._pace = Pace(prefill_chunk, least_chunk)
        self._waiting: deque[Sequence] = deque()
        self._returning: deque[Sequence] = deque()
        self._running: list[Sequence] = []
        self._parked: list[Sequence] = []

    @property
    def running(self) -> tuple[Sequence, ...]:
        """Sequences in the batch, oldest first."""
        return tuple(self._running)

    @property
    def cache_usage(self) -> float:
        """The share of the pages that sequences hold; what is only kept to be found again counts as free."""
        return 1 - self._budget.free / self._budget.count

    def counts(self) -> dict[str, int]:
        """Sequences by state."""
        queues = (self._waiting, self._running, self._parked, self._returning)
        return dict(zip(("waiting", "running", "parked", "returning"), map(len, queues), strict=True))

    def add(self, sequence: Sequence) -> None:
        """Queues a new sequence. Raises NeverFitsError."""
        self._refuse_impossible(sequence)
        sequence.prompted = len(sequence.tokens)
        self._waiting.append(sequence)

    def park(self, sequence: Sequence) -> None:
        """The turn of a running sequence has ended. It keeps what it has computed."""
        self._running.remove(sequence)
        self._budget.publish(sequence)
        self._budget.trim(sequence)
        sequence.state = State.PARKED
        self._parked.append(sequence)

    def expect(self, sequence: Sequence, returns_at: float) -> None:
        """Says when the tools of a parked sequence will be done; until it is said, they are expected last of all."""
        if sequence.state is State.PARKED:
            sequence.returns_at = returns_at

    def prepare(self, sequence: Sequence, start: int, tokens: Iterable[int]) -> None:
        """Guesses what will follow a parked sequence, from the `start`-th token on."""
        if sequence.state is State.PARKED:
            sequence.guess(start, tuple(tokens))
            self._budget.trim(sequence)

    def prepares(self) -> bool:
        """Whether there is something to compute for parked sequences, and room for it."""
        return bool(self._preparable())

    def resume(self, sequence: Sequence) -> None:
        """A parked sequence has new tokens, none of them guessed, and a new limit. Raises NeverFitsError."""
        self._refuse_impossible(sequence)
        self._parked.remove(sequence)
        self._budget.trim(sequence)
        self._budget.publish(sequence)
        sequence.state = State.RETURNING
        sequence.prompted = len(sequence.tokens)
        sequence.returned = True
        sequence.returns_at = math.inf
        self._returning.append(sequence)

    def remove(self, sequence: Sequence) -> None:
        """Forgets a sequence in whatever state and takes its pages back. Does nothing the second time."""
        if sequence.state is State.FINISHED:
            return
        if sequence.state is State.RUNNING:
            self._budget.publish(sequence)
        self._leave(sequence)
        self._budget.take_back(sequence)

    def discard(self, sequence: Sequence) -> list[int]:
        """Removes a sequence whose keys and values are not to be trusted. Gives the pages that nobody holds now."""
        self._leave(sequence)
        return self._budget.discard(sequence)

    def observe(self, decoding: int, prefilled: int, seconds: float) -> None:
        """Learns what a step took that ran a plan's `decoding` sequences and `prefilled` tokens of prompts."""
        self._pace.observe(decoding, prefilled, seconds)

    def plan(self) -> Plan:
        """Admits whom it can, then says what the next step runs. Empty when there is nothing to do."""
        for sequence in self._running:
            self._budget.publish(sequence)
        decoding = self._decoding()
        room = self._room(len(decoding))
        chunks = self._chunks(room) if room else []
        return Plan((*decoding, *chunks), len(decoding), may_draft=room != 0 and not chunks)

    def _decoding(self) -> list[Piece]:
        """Everybody's last token, and what grammars have forced since, the oldest's first, while there is room."""
        decoding = [sequence for sequence in self._running if sequence.decoding]
        spare = most_rows(len(decoding)) - len(decoding)
        pieces = []
        for sequence in decoding:
            pieces.append(Piece(sequence, min(sequence.uncached, 1 + spare)))
            spare -= pieces[-1].count - 1
        return pieces

    def _room(self, decoding: int) -> int | None:
        """Tokens of prompts that the step takes; None where there are none, nor anything to prepare."""
        begun = any(not sequence.decoding for sequence in self._running)
        wanted = begun or self._returning or self._waiting or self.prepares()
        return self._pace.chunk(decoding) if wanted else None

    def _chunks(self, room: int) -> list[Piece]:
        begun = [sequence for sequence in self._running if not sequence.decoding]
        back = [sequence for sequence in begun if sequence.returned]
        new = [sequence for sequence in begun if not sequence.returned]
        kept = -(-room // NEW_SHARE) if new else 0
        pieces = _cut(self._then_admitted(back, self._returning), room - kept)
        room -= sum(piece.count for piece in pieces)
        fresh = _cut(self._then_admitted(new, self._waiting), room)
        return pieces + fresh + self._ahead(room - sum(piece.count for piece in fresh))

    def _ahead(self, room: int) -> list[Piece]:
        """Guessed tokens of those parked sequences that are expected first, each but its last: logits want one."""
        pieces: list[Piece] = []
        for sequence in sorted(self._preparable(), key=lambda sequence: sequence.returns_at):
            count = min(sequence.uncached - 1, self._space(sequence), room)
            if count > 0:
                lacking = pages_for(sequence.cached + count) - len(sequence.pages)
                self._budget.take(sequence, max(0, lacking))
                pieces.append(Piece(sequence, count))
                room -= count
        return pieces

    def _preparable(self) -> list[Sequence]:
        """One that has given up its pages is not among them: they would be taken again."""
        return [s for s in self._parked if s.uncached > 1 and s.pages and self._space(s)]

    def _space(self, sequence: Sequence) -> int:
        """Tokens that a parked sequence has a place for, in its last page and in those that nobody waits for."""
        spare = 0 if self._waiting or self._returning else self._budget.free
        return (len(sequence.pages) + spare) * PAGE_TOKENS - sequence.cached

    def _then_admitted(self, begun: list[Sequence], queue: deque[Sequence]) -> Iterator[Sequence]:
        yield from begun
        while (queue is self._returning or not self._returning) and self._admit_first(queue):
            yield self._running[-1]

    def _admit_first(self, queue: deque[Sequence]) -> bool:
        if not queue or len(self._running) >= self._max_running:
            return False
        sequence = queue[0]
        keeps = bool(sequence.pages)
        if not keeps:
            self._budget.reuse(sequence)
        lacking = max(0, pages_for(sequence.limit) - len(sequence.pages))
        if not self._make_room(lacking, sequence):
            if not keeps:
                self._budget.take_back(sequence)
            return False
        queue.popleft()
        self._budget.take(sequence, lacking)
        sequence.state = State.RUNNING
        self._running.append(sequence)
        return True

    def _make_room(self, pages: int, wanted_by: Sequence) -> bool:
        if pages <= self._budget.free:
            return True
        victims = self._victims(wanted_by)
        if pages > self._budget.free + self._budget.held_only_by(victims):
            return False
        for victim in victims:
            if pages <= self._budget.free:
                break
            self._budget.take_back(victim)
        return True

    def _victims(self, wanted_by: Sequence) -> list[Sequence]:
        """Who gives up pages, first to last. Of those that are expected at the same time, the longest parked."""
        parked = sorted(self._parked, key=lambda sequence: sequence.returns_at, reverse=True)
        return [s for s in (*parked, *reversed(self._returning)) if s.pages and s is not wanted_by]

    def _leave(self, sequence: Sequence) -> None:
        queues: dict[State, deque[Sequence] | list[Sequence]] = {
            State.WAITING: self._waiting,
            State.RUNNING: self._running,
            State.PARKED: self._parked,
            State.RETURNING: self._returning,
        }
        queues[sequence.state].remove(sequence)
        sequence.state = State.FINISHED

    def _refuse_impossible(self, sequence: Sequence) -> None:
        if not sequence.tokens:
            raise NeverFitsError("the prompt has no token")
        if len(sequence.tokens) >= sequence.limit:
            raise NeverFitsError(
                f"{len(sequence.tokens)} tokens leave no room for an answer; {sequence.limit} is the most"
            )
        if pages_for(sequence.limit) > self._budget.count:
            raise NeverFitsError(f"{sequence.limit} tokens never fit into {self._budget.count} pages of the cache")


def _cut(prompts: Iterable[Sequence], room: int) -> list[Piece]:
    """The next tokens of these prompts, in order, up to `room` of them. Takes no sequence that gets none."""
    pieces: list[Piece] = []
    prompts = iter(prompts)
    while room > 0 and (sequence := next(prompts, None)) is not None:
        pieces.append(Piece(sequence, min(sequence.uncached, room)))
        room -= pieces[-1].count
    return pieces
