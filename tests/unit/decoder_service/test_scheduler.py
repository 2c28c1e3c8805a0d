"""The scheduler against random lives of sequences: the budget holds, nobody starves, everybody ends."""

from hypothesis import given, settings
from hypothesis import strategies as st

from decoder_service.engine.pages import PAGE_TOKENS, PageBudget, pages_for
from decoder_service.engine.scheduler import Scheduler
from decoder_service.engine.sequence import Piece, Sequence, State

PAGES = 12
CONTEXT = PAGES * PAGE_TOKENS


@st.composite
def lives(draw: st.DrawFn) -> list[list[tuple[int, int]]]:
    """For each sequence its turns: new tokens before the turn, tokens decoded in it. All fit the context."""
    sequences = []
    for _ in range(draw(st.integers(1, 8))):
        turns, used = [], 0
        for _ in range(draw(st.integers(1, 4))):
            new, decoded = draw(st.integers(1, 40)), draw(st.integers(1, 12))
            if used + new + decoded > CONTEXT:
                break
            turns.append((new, decoded))
            used += new + decoded
        sequences.append(turns or [(1, 1)])
    return sequences


class Simulation:
    """Drives a scheduler as the engine does, with tokens made up."""

    def __init__(self, sequences: list[list[tuple[int, int]]], max_running: int, chunk: int) -> None:
        self.budget = PageBudget(PAGES)
        self.scheduler = Scheduler(self.budget, max_running, chunk)
        self.max_running = max_running
        self.left = dict(enumerate(sequences))
        self.sequences = {}
        self.decoded = dict.fromkeys(self.left, 0)
        self.admitted: list[int] = []
        for id_, turns in self.left.items():
            new, decoded = turns[0]
            self.sequences[id_] = Sequence(id_, [0] * new, new + decoded)
            self.scheduler.add(self.sequences[id_])

    def run(self, resume: bool) -> None:
        for _ in range(100_000):
            plan = self.scheduler.plan()
            self.check()
            if not plan:
                if not self.resume_parked():
                    return
                continue
            for piece in plan.pieces:
                self.advance(piece.sequence, piece.count)
            if resume:
                self.resume_parked()
        raise AssertionError("never ends")

    def advance(self, sequence: Sequence, count: int) -> None:
        assert sequence.state is State.RUNNING
        sequence.cached += count
        assert sequence.cached <= len(sequence.pages) * PAGE_TOKENS
        if not sequence.uncached:
            sequence.tokens.append(0)
            self.decoded[sequence.id] += 1
            if self.decoded[sequence.id] == self.left[sequence.id][0][1]:
                self.end_turn(sequence)

    def end_turn(self, sequence: Sequence) -> None:
        self.decoded[sequence.id] = 0
        self.scheduler.park(sequence)
        self.left[sequence.id].pop(0)
        if not self.left[sequence.id]:
            self.scheduler.remove(sequence)

    def resume_parked(self) -> bool:
        parked = [s for s in self.sequences.values() if s.state is State.PARKED]
        for sequence in parked:
            new, decoded = self.left[sequence.id][0]
            sequence.tokens += [0] * new
            sequence.limit = len(sequence.tokens) + decoded
            self.scheduler.resume(sequence)
        return bool(parked)

    def check(self) -> None:
        self.admitted += [s.id for s in self.scheduler.running if s.id not in self.admitted]
        held = [page for sequence in self.sequences.values() for page in sequence.pages]
        assert len(held) == len(set(held))
        assert len(held) + self.budget.free == PAGES
        assert len(self.scheduler.running) <= self.max_running
        for sequence in self.scheduler.running:
            assert len(sequence.pages) >= pages_for(sequence.limit)


@given(lives(), st.integers(1, 4), st.integers(1, 16), st.booleans())
@settings(max_examples=200, deadline=None)
def test_every_request_ends_within_the_budget(
    sequences: list[list[tuple[int, int]]], max_running: int, chunk: int, resume_at_once: bool
) -> None:
    simulation = Simulation(sequences, max_running, chunk)
    simulation.run(resume_at_once)
    assert not any(simulation.left.values())
    assert all(sequence.state is State.FINISHED for sequence in simulation.sequences.values())
    assert simulation.budget.free == PAGES


@given(lives(), st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_new_sequences_are_admitted_in_order_of_their_coming(
    sequences: list[list[tuple[int, int]]], max_running: int
) -> None:
    simulation = Simulation(sequences, max_running, 8)
    simulation.run(resume=True)
    assert simulation.admitted == sorted(simulation.admitted)


def test_a_returning_sequence_goes_before_a_new_one() -> None:
    scheduler = Scheduler(PageBudget(PAGES), max_running=1, prefill_chunk=8)
    old, new = Sequence(1, [0], 2), Sequence(2, [0], 2)
    scheduler.add(old)
    scheduler.plan()
    scheduler.park(old)
    scheduler.add(new)
    old.tokens += [0, 0]
    old.limit = 5
    scheduler.resume(old)
    scheduler.plan()
    assert scheduler.running == (old,)


def test_pressure_takes_the_pages_of_the_longest_parked() -> None:
    scheduler = Scheduler(PageBudget(3), max_running=4, prefill_chunk=8)
    parked = [Sequence(id_, [0], 16) for id_ in range(2)]
    for sequence in parked:
        scheduler.add(sequence)
    scheduler.plan()
    for sequence in parked:
        sequence.cached = 1
        scheduler.park(sequence)
    wanted = Sequence(9, [0], 32)
    scheduler.add(wanted)
    scheduler.plan()
    assert wanted.state is State.RUNNING
    assert (parked[0].pages, parked[0].cached) == ([], 0)
    assert len(parked[1].pages) == 1


def test_a_chunk_of_a_long_prompt_leaves_room_for_those_that_decode() -> None:
    scheduler = Scheduler(PageBudget(PAGES), max_running=4, prefill_chunk=8)
    decoding, long = Sequence(1, [0], 10), Sequence(2, [0] * 50, 60)
    scheduler.add(decoding)
    scheduler.add(long)
    assert scheduler.plan().pieces == (Piece(decoding, 1), Piece(long, 8))


def test_removing_twice_is_harmless() -> None:
    scheduler = Scheduler(PageBudget(PAGES), max_running=4, prefill_chunk=8)
    sequence = Sequence(1, [0], 10)
    scheduler.add(sequence)
    scheduler.plan()
    scheduler.remove(sequence)
    scheduler.remove(sequence)
    assert scheduler.counts() == {"waiting": 0, "running": 0, "parked": 0, "returning": 0}


def test_chunks_follow_the_pace_of_the_machine() -> None:
    scheduler = Scheduler(PageBudget(PAGES), max_running=4, prefill_chunk=100)
    scheduler.add(Sequence(1, [0] * 150, 160))

    def chunk() -> int:
        return scheduler.plan().pieces[-1].count

    assert chunk() == 64
    scheduler.observe_chunk(64, seconds=0.01)
    assert chunk() == 100
    for _ in range(9):
        scheduler.observe_chunk(chunk(), seconds=1.0)
    assert chunk() == 16
