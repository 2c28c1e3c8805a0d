"""The scheduler against random lives of sequences: the budget holds, pages are what they are taken for, nobody starves,
everybody ends."""

import itertools
import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoder_service.engine.pace import LEAST_CHUNK, most_rows
from decoder_service.engine.pages import PAGE_TOKENS, PageBudget, pages_for
from decoder_service.engine.scheduler import NeverFitsError, Plan, Scheduler
from decoder_service.engine.sequence import Piece, Sequence, State

PAGES = 12
CONTEXT = PAGES * PAGE_TOKENS
KINDS = ("add", "add", "prepare", "resume", "resume", "expect", "step", "step", "step", "veto", "remove", "discard")

Trace = list[tuple[str, int]]
traces = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 2**32 - 1)), min_size=20, max_size=80)


def tokens_by(luck: random.Random, count: int) -> list[int]:
    """Mostly the same, so that many a prompt begins like another; now and then not."""
    return [2 if luck.random() < 0.02 else 1 for _ in range(count)]


class Simulation:
    """Drives a scheduler as the engine does. The cache is made up: a slot holds the tokens that led to it."""

    def __init__(self, max_running: int, chunk: int, timed: bool) -> None:
        self.budget = PageBudget(PAGES)
        self.scheduler = Scheduler(self.budget, max_running, chunk)
        self.max_running, self.chunk, self.timed = max_running, chunk, timed
        self.slots: dict[tuple[int, int], tuple[int, ...]] = {}
        self.live: list[Sequence] = []
        self.ended: list[Sequence] = []
        self.ids = itertools.count()
        self.admitted: list[int] = []
        self.idle_steps = 0
        self.steps = 0
        self.most_steps = 0

    def run(self, trace: Trace) -> None:
        for kind, seed in trace:
            getattr(self, kind)(random.Random(seed))
            self.check()
        luck = random.Random(0)
        while self.live:
            self.step(luck)
            for sequence in self.some(State.PARKED):
                self.end(sequence)

    def some(self, state: State) -> list[Sequence]:
        return [sequence for sequence in self.live if sequence.state is state]

    def add(self, luck: random.Random) -> None:
        tokens = tokens_by(luck, luck.choice((luck.randint(1, 20), luck.randint(1, 120))))
        sequence = Sequence(next(self.ids), tokens, len(tokens) + luck.randint(1, 40))
        self.scheduler.add(sequence)
        self.live.append(sequence)
        self.most_steps += 2 * CONTEXT

    def resume(self, luck: random.Random) -> None:
        for sequence in self.some(State.PARKED)[:1]:
            fresh = tokens_by(luck, luck.randint(0, 30))
            limit = len(sequence.tokens) - sequence.ahead + len(fresh) + luck.randint(1, 10)
            if limit > CONTEXT:
                self.end(sequence)
                continue
            sequence.follow(fresh)
            sequence.limit = limit
            self.scheduler.resume(sequence)
            self.most_steps += 2 * CONTEXT

    def prepare(self, luck: random.Random) -> None:
        for sequence in self.live:
            tokens = tokens_by(luck, luck.randint(0, 40))
            self.scheduler.prepare(sequence, luck.randint(0, sequence.ahead), tokens)
            self.most_steps += len(tokens) + 1

    def expect(self, luck: random.Random) -> None:
        for sequence in self.live:
            self.scheduler.expect(sequence, luck.choice((1.0, 2.0, math.inf)))

    def veto(self, luck: random.Random) -> None:
        for sequence in self.some(State.RUNNING)[:1]:
            self.scheduler.park(sequence)

    def remove(self, luck: random.Random) -> None:
        if self.live:
            self.end(luck.choice(self.live))

    def discard(self, luck: random.Random) -> None:
        if self.live:
            sequence = luck.choice(self.live)
            held = sequence.pages
            wiped = self.scheduler.discard(sequence)
            assert set(wiped) == {page for page in held if not self.budget.holders(page)}
            for slot in itertools.product(wiped, range(PAGE_TOKENS)):
                self.slots[slot] = ()  # whoever found it would notice
            self.gone(sequence)

    def end(self, sequence: Sequence) -> None:
        self.scheduler.remove(sequence)
        self.gone(sequence)

    def gone(self, sequence: Sequence) -> None:
        self.live.remove(sequence)
        self.ended.append(sequence)

    def step(self, luck: random.Random) -> None:
        for _ in range(luck.choice((1, 1, 2, 12))):
            self.step_once(luck)
            self.check()

    def step_once(self, luck: random.Random) -> None:
        waiting, held = self.some(State.WAITING), {s.id: len(s.pages) for s in self.some(State.PARKED)}
        preparing = self.scheduler.prepares()
        plan = self.scheduler.plan()
        self.check_plan(plan, waiting, preparing)
        self.check_prepared(plan, held)
        for piece in plan.pieces:
            self.compute(piece)
        self.drafted(plan, luck)
        if self.timed:
            self.scheduler.observe(plan.decoding, plan.prefilled, luck.choice((0.0, 0.01, 0.03, 1.0)))
        for piece in plan.pieces:
            if not piece.sequence.uncached:
                assert piece.sequence.state is State.RUNNING
                self.extend(piece.sequence, luck)
                if len(piece.sequence.tokens) == piece.sequence.limit or luck.random() < 0.1:
                    self.scheduler.park(piece.sequence)
                    if luck.random() < 0.2:
                        self.end(piece.sequence)

    def extend(self, sequence: Sequence, luck: random.Random) -> None:
        """A chosen token, and now and then some that are forced."""
        forced = luck.choice((0, 0, 0, 1, 3, 30))
        sequence.tokens += tokens_by(luck, min(1 + forced, sequence.limit - len(sequence.tokens)))

    def drafted(self, plan: Plan, luck: random.Random) -> None:
        """Drafts have their places in the sequence's own pages, and leave there what is no part of it."""
        for piece in plan.pieces if plan.may_draft else ():
            first = piece.sequence.cached
            room = piece.sequence.limit - len(piece.sequence.tokens) - 1
            for place in range(first, first + min(room, luck.randint(0, 6))):
                page = piece.sequence.pages[place // PAGE_TOKENS]
                assert self.budget.holders(page) == 1, "a draft is written to a shared page"
                self.slots[page, place % PAGE_TOKENS] = (-1,)

    def compute(self, piece: Piece) -> None:
        sequence = piece.sequence
        assert sequence.state in (State.RUNNING, State.PARKED)
        for place in range(sequence.cached, sequence.cached + piece.count):
            page = sequence.pages[place // PAGE_TOKENS]
            assert self.budget.holders(page) == 1, "a shared page is written"
            self.slots[page, place % PAGE_TOKENS] = tuple(sequence.tokens[: place + 1])
        sequence.cached += piece.count

    def check_plan(self, plan: Plan, waiting: list[Sequence], preparing: bool) -> None:
        self.steps += bool(plan)
        assert self.steps <= self.most_steps, "somebody waits for ever"
        running = self.scheduler.running
        queued = self.some(State.RUNNING) or self.some(State.WAITING) or self.some(State.RETURNING)
        assert bool(plan) == bool(queued or preparing), "it would spin, or sleep over its work"
        assert [piece.sequence for piece in plan.pieces[: plan.decoding]] == [
            s for s in running if s.decoding and s not in [p.sequence for p in plan.pieces[plan.decoding :]]
        ]
        assert sum(piece.count for piece in plan.pieces[: plan.decoding]) <= most_rows(plan.decoding)
        assert not plan.may_draft or not plan.prefilled
        assert all(1 <= piece.count <= piece.sequence.uncached for piece in plan.pieces)
        assert len({piece.sequence for piece in plan.pieces}) == len(plan.pieces)
        assert plan.prefilled <= self.chunk
        self.check_prompts(plan)
        fresh = [sequence for sequence in waiting if sequence.state is State.RUNNING]
        assert not fresh or not self.some(State.RETURNING), "a new one went before one that returns"
        assert fresh == waiting[: len(fresh)], "somebody jumped the queue"

    def check_prompts(self, plan: Plan) -> None:
        """Whose prompt began first gets a share of every step; only one that measures runs none, once for each number
        of sequences that decode."""
        chunks = [p.sequence for p in plan.pieces[plan.decoding :] if p.sequence.state is State.RUNNING]
        begun = [s for s in self.scheduler.running if not s.decoding]
        if chunks:
            new = [s for s in begun if not s.returned]
            assert not new or new[0] in chunks
            self.idle_steps = 0
        elif begun:
            self.idle_steps += 1
            assert self.idle_steps < self.max_running, "prompts do not get on"
        else:
            self.idle_steps = 0

    def check_prepared(self, plan: Plan, held: dict[int, int]) -> None:
        """What is prepared comes last, and takes no page that somebody waits for."""
        prepared = [piece.sequence.state is State.PARKED for piece in plan.pieces]
        assert prepared == sorted(prepared)
        queued = self.some(State.WAITING) or self.some(State.RETURNING)
        for sequence in self.some(State.PARKED):
            assert len(sequence.pages) <= held[sequence.id] or not queued

    def check(self) -> None:
        held = Counter(page for sequence in self.live for page in sequence.pages)
        assert all(self.budget.holders(page) == held[page] for page in range(PAGES))
        assert len(held) + self.budget.free == PAGES
        assert len(self.scheduler.running) <= self.max_running
        assert all(sequence.pages == [] for sequence in self.ended)
        for sequence in self.live:
            assert len(set(sequence.pages)) == len(sequence.pages) and sequence.uncached >= 1
            assert sequence.state is not State.WAITING or not sequence.pages
            assert sequence.state is State.PARKED or not sequence.ahead
            assert sequence.state is not State.RUNNING or len(sequence.pages) >= pages_for(sequence.limit)
            for place in range(sequence.cached):
                found = self.slots[sequence.pages[place // PAGE_TOKENS], place % PAGE_TOKENS]
                assert found == tuple(sequence.tokens[: place + 1]), "a page holds something else"


def simulate(trace: Trace, max_running: int, chunk: int, timed: bool) -> None:
    simulation = Simulation(max_running, chunk, timed)
    simulation.run(trace)
    assert all(sequence.state is State.FINISHED for sequence in simulation.ended)
    assert simulation.budget.free == PAGES
    assert set(simulation.scheduler.counts().values()) == {0}


@given(traces, st.integers(1, 5), st.integers(1, 64), st.booleans())
@settings(max_examples=200, deadline=None)
def test_every_request_ends_within_the_budget_and_pages_hold_what_they_should(
    trace: Trace, max_running: int, chunk: int, timed: bool
) -> None:
    simulate(trace, max_running, chunk, timed)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@given(traces, st.integers(1, 5), st.integers(1, 64), st.booleans())
@settings(max_examples=10_000, deadline=None)
def test_ten_thousand_lives_go_well(trace: Trace, max_running: int, chunk: int, timed: bool) -> None:
    simulate(trace, max_running, chunk, timed)


def scheduler_of(pages: int = PAGES, max_running: int = 4, chunk: int = 8) -> Scheduler:
    return Scheduler(PageBudget(pages), max_running, chunk)


def compute(scheduler: Scheduler, sequence: Sequence) -> Sequence:
    """Runs a new sequence's prompt to its end, decodes a token and parks it."""
    scheduler.add(sequence)
    while sequence.uncached:
        for piece in scheduler.plan().pieces:
            piece.sequence.cached += piece.count
    sequence.tokens.append(0)
    scheduler.park(sequence)
    return sequence


def come_back(scheduler: Scheduler, sequence: Sequence, fresh: list[int]) -> None:
    sequence.follow(fresh)
    sequence.limit = len(sequence.tokens) + 1
    scheduler.resume(sequence)


def test_a_returning_sequence_goes_before_a_new_one() -> None:
    scheduler = scheduler_of(max_running=1)
    old, new = compute(scheduler, Sequence(1, [0], 2)), Sequence(2, [0], 2)
    scheduler.add(new)
    come_back(scheduler, old, [0, 0])
    scheduler.plan()
    assert scheduler.running == (old,)


def test_a_short_result_is_not_kept_waiting_by_a_long_prompt_nor_the_prompt_by_it() -> None:
    scheduler = scheduler_of(chunk=16)
    old, new = compute(scheduler, Sequence(1, [0], 2)), Sequence(2, [1] * 100, 120)
    scheduler.add(new)
    scheduler.plan()
    come_back(scheduler, old, [0] * 10)
    assert scheduler.plan().pieces == (Piece(old, 11), Piece(new, 5))
    old.tokens += [0] * 20
    assert scheduler.plan().pieces == (Piece(old, 12), Piece(new, 4))


def test_one_step_takes_several_prompts_up_to_the_chunk_and_admits_no_more() -> None:
    scheduler = scheduler_of(chunk=16)
    first, second, third = (Sequence(id_, [id_] * 10, 12) for id_ in range(3))
    for sequence in (first, second, third):
        scheduler.add(sequence)
    assert scheduler.plan() == Plan((Piece(first, 10), Piece(second, 6)), 0)
    assert third.state is State.WAITING


def test_a_prompt_begins_with_the_pages_of_another_that_began_the_same() -> None:
    scheduler = scheduler_of(chunk=64)
    system = [7] * 40
    first = compute(scheduler, Sequence(1, [*system, 1], 60))
    second = Sequence(2, [*system, 2], 60)
    scheduler.add(second)
    assert scheduler.plan().pieces == (Piece(second, 9),)
    assert (second.cached, second.pages[:2]) == (32, first.pages[:2])


def test_prompts_that_come_at_once_share_what_the_first_of_them_computes() -> None:
    scheduler = scheduler_of(chunk=16)
    system = [7] * 64
    twins = [Sequence(id_, [*system, id_], 70) for id_ in range(2)]
    for twin in twins:
        scheduler.add(twin)
    ran = 0
    while any(twin.uncached for twin in twins):
        for piece in scheduler.plan().pieces:
            piece.sequence.cached += piece.count
            ran += piece.count
    assert ran <= 65 + 17


def test_pages_of_a_finished_sequence_are_found_by_the_next() -> None:
    scheduler = scheduler_of(chunk=64)
    first = compute(scheduler, Sequence(1, [7] * 33, 40))
    scheduler.remove(first)
    second = Sequence(2, [7] * 33, 40)
    scheduler.add(second)
    assert scheduler.plan().pieces == (Piece(second, 1),)
    assert second.cached == 32


def test_pages_of_a_sequence_that_broke_are_not_found() -> None:
    scheduler = scheduler_of(chunk=64)
    broken = compute(scheduler, Sequence(1, [7] * 33, 40))
    pages = broken.pages
    assert scheduler.discard(broken) == pages
    second = Sequence(2, [7] * 33, 40)
    scheduler.add(second)
    assert scheduler.plan().pieces == (Piece(second, 33),)


def test_pressure_takes_the_pages_of_the_sequence_that_is_expected_last() -> None:
    scheduler = scheduler_of(pages=4, chunk=64)
    parked = [compute(scheduler, Sequence(id_, [id_], 16)) for id_ in range(3)]
    for sequence, returns_at in zip(parked, (5.0, 9.0, 7.0), strict=True):
        scheduler.expect(sequence, returns_at)
    scheduler.add(Sequence(9, [9], 32))
    scheduler.plan()
    assert [len(sequence.pages) for sequence in parked] == [1, 0, 1]


def test_pressure_takes_first_the_pages_of_those_that_nobody_expects_the_longest_parked_first() -> None:
    scheduler = scheduler_of(pages=4, chunk=64)
    parked = [compute(scheduler, Sequence(id_, [id_], 16)) for id_ in range(3)]
    scheduler.expect(parked[0], 1000.0)
    scheduler.add(Sequence(9, [9], 32))
    scheduler.plan()
    assert [len(sequence.pages) for sequence in parked] == [1, 0, 1]


def test_nobody_gives_up_pages_for_one_that_would_not_fit_all_the_same() -> None:
    scheduler = scheduler_of(pages=4, chunk=64)
    parked = compute(scheduler, Sequence(1, [1], 16))
    scheduler.add(Sequence(2, [2], 2 * PAGE_TOKENS))
    scheduler.plan()
    scheduler.add(Sequence(3, [3], 3 * PAGE_TOKENS))
    scheduler.plan()
    assert len(parked.pages) == 1
    assert scheduler.counts()["waiting"] == 1


def test_a_sequence_that_gave_up_its_pages_finds_what_is_left_of_them() -> None:
    scheduler = scheduler_of(pages=4, chunk=64)
    parked = compute(scheduler, Sequence(1, [1] * 40, 42))
    other = compute(scheduler, Sequence(2, [2], 2 * PAGE_TOKENS))
    assert (parked.cached, parked.pages) == (0, [])
    scheduler.remove(other)
    come_back(scheduler, parked, [1] * 5)
    plan = scheduler.plan()
    assert plan.pieces == (Piece(parked, 14),)
    assert parked.cached == 2 * PAGE_TOKENS


def test_a_parked_sequence_gives_back_what_its_turn_did_not_use() -> None:
    budget = PageBudget(PAGES)
    scheduler = Scheduler(budget, 4, 64)
    compute(scheduler, Sequence(1, [1] * 17, CONTEXT))
    assert budget.free == PAGES - 2


def test_chunks_beside_sequences_that_decode_are_as_long_as_they_let_the_step_be() -> None:
    scheduler = scheduler_of(chunk=64)
    decoding, long = Sequence(1, [0], 10), Sequence(2, [1] * 150, 160)
    scheduler.add(decoding)
    scheduler.plan()
    scheduler.add(long)
    assert scheduler.plan().pieces == (Piece(decoding, 1),)  # tells what a step takes
    scheduler.observe(1, 0, 0.02)
    assert scheduler.plan().pieces == (Piece(decoding, 1), Piece(long, LEAST_CHUNK))
    chunk = LEAST_CHUNK
    for _ in range(3):  # it grows step by step
        scheduler.observe(1, chunk, 0.02 + chunk * 0.0004)
        plan = scheduler.plan()
        assert plan.decoding == 1
        assert chunk < plan.prefilled <= 3 * chunk
        chunk = plan.prefilled
    assert 20 <= chunk <= 30


def prepared(scheduler: Scheduler, sequence: Sequence, tokens: list[int]) -> None:
    """Guesses what follows a parked sequence, and computes it as far as there is room."""
    scheduler.prepare(sequence, 0, tokens)
    while scheduler.prepares():
        for piece in scheduler.plan().pieces:
            piece.sequence.cached += piece.count


def test_what_is_prepared_is_not_left_to_the_return() -> None:
    scheduler = scheduler_of(chunk=64)
    parked = compute(scheduler, Sequence(1, [1] * 40, 42))
    prepared(scheduler, parked, [2] * 30)
    assert (parked.state, parked.uncached) == (State.PARKED, 1)
    come_back(scheduler, parked, [2] * 30 + [3] * 4)
    assert scheduler.plan().pieces == (Piece(parked, 5),)


def test_a_wrong_guess_is_computed_from_where_it_was_wrong() -> None:
    budget = PageBudget(PAGES)
    scheduler = Scheduler(budget, 4, 64)
    parked = compute(scheduler, Sequence(1, [1] * 40, 42))
    prepared(scheduler, parked, [2] * 50)
    come_back(scheduler, parked, [2] * 10 + [3] * 20)
    assert (parked.cached, len(parked.pages)) == (51, 4)
    assert budget.free == PAGES - 4
    assert scheduler.plan().pieces == (Piece(parked, 20),)


def test_a_guess_is_replaced_from_a_place_on_and_what_stays_the_same_stays_computed() -> None:
    scheduler = scheduler_of(chunk=64)
    parked = compute(scheduler, Sequence(1, [1] * 40, 42))
    prepared(scheduler, parked, [2, 3, 4, 5])
    scheduler.prepare(parked, 1, [3, 7, 8])
    assert (parked.tokens[41:], parked.cached, parked.ahead) == ([2, 3, 7, 8], 43, 4)


def test_more_than_follows_may_be_prepared() -> None:
    scheduler = scheduler_of(chunk=64)
    parked = compute(scheduler, Sequence(1, [1] * 40, 42))
    prepared(scheduler, parked, [2] * 30)
    come_back(scheduler, parked, [2] * 10)
    assert scheduler.plan().pieces == (Piece(parked, 1),)


def test_a_guess_is_shown_to_nobody() -> None:
    scheduler = scheduler_of(chunk=64)
    parked = compute(scheduler, Sequence(1, [1] * 16, 18))
    prepared(scheduler, parked, [2] * 40)
    other = Sequence(2, [1] * 16 + [0] + [2] * 40, 60)
    scheduler.add(other)
    scheduler.plan()
    assert other.cached == PAGE_TOKENS


def test_preparing_comes_after_prompts_and_takes_no_page_that_somebody_waits_for() -> None:
    scheduler = scheduler_of(pages=6, max_running=1, chunk=16)
    parked = compute(scheduler, Sequence(1, [1] * 8, 10))
    running, waiting = Sequence(2, [2] * 20, 22), Sequence(3, [3] * 20, 22)
    scheduler.add(running)
    scheduler.add(waiting)
    scheduler.prepare(parked, 0, [4] * 30)
    assert scheduler.plan().pieces == (Piece(running, 16),)
    running.cached += 16
    assert scheduler.plan().pieces == (Piece(running, 4), Piece(parked, PAGE_TOKENS - 8))


def test_one_that_gave_its_pages_up_is_not_prepared() -> None:
    scheduler = scheduler_of(pages=4, chunk=64)
    parked = compute(scheduler, Sequence(1, [1] * 40, 42))
    scheduler.remove(compute(scheduler, Sequence(2, [2], 2 * PAGE_TOKENS)))
    scheduler.prepare(parked, 0, [3] * 10)
    assert not parked.pages and not scheduler.prepares() and not scheduler.plan()


def test_those_that_are_expected_first_are_prepared_first() -> None:
    scheduler = scheduler_of(chunk=16)
    late, soon = (compute(scheduler, Sequence(id_, [id_] * 4, 6)) for id_ in (1, 2))
    scheduler.expect(late, 9.0)
    scheduler.expect(soon, 5.0)
    for sequence in (late, soon):
        scheduler.prepare(sequence, 0, [3] * 10)
    assert scheduler.plan().pieces == (Piece(soon, 10), Piece(late, 6))


@pytest.mark.parametrize(
    ("sequence", "why"),
    [
        (Sequence(1, [], 5), "no token"),
        (Sequence(1, [0] * 5, 5), "no room for an answer"),
        (Sequence(1, [0], CONTEXT + 1), "193 tokens never fit into 12 pages"),
    ],
)
def test_what_can_never_run_is_refused(sequence: Sequence, why: str) -> None:
    scheduler = scheduler_of()
    with pytest.raises(NeverFitsError, match=why):
        scheduler.add(sequence)
    assert scheduler.counts()["waiting"] == 0


def test_what_a_grammar_forces_is_run_at_once_as_far_as_it_harms_nobody() -> None:
    scheduler = scheduler_of(chunk=64, pages=40)
    sequences = [Sequence(id_, [id_], 150) for id_ in range(3)]
    for sequence in sequences:
        scheduler.add(sequence)
    for piece in scheduler.plan().pieces:
        piece.sequence.cached += piece.count
        piece.sequence.tokens.append(0)
    sequences[1].tokens += [0] * 5
    sequences[2].tokens += [0] * 20
    assert scheduler.plan() == Plan(tuple(map(Piece, sequences, (1, 6, 9))), 3, may_draft=True)
    sequences[2].cached += 9
    assert scheduler.plan().pieces[2].count == 9


def test_drafts_are_for_steps_whose_room_no_prompt_wants() -> None:
    scheduler = scheduler_of(chunk=64)
    decoding, long = Sequence(1, [0], 10), Sequence(2, [1] * 150, 160)
    scheduler.add(decoding)
    assert not scheduler.plan().may_draft
    assert scheduler.plan().may_draft
    scheduler.add(long)
    tells, chunk = scheduler.plan(), scheduler.plan()
    assert (tells.prefilled, chunk.prefilled) == (0, LEAST_CHUNK)
    assert not tells.may_draft and not chunk.may_draft


def test_removing_twice_is_harmless() -> None:
    scheduler = scheduler_of()
    sequence = Sequence(1, [0], 10)
    scheduler.add(sequence)
    scheduler.plan()
    scheduler.remove(sequence)
    scheduler.remove(sequence)
    assert scheduler.counts() == {"waiting": 0, "running": 0, "parked": 0, "returning": 0}
