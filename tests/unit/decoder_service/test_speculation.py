"""Drafts and forced tokens change when tokens are said, never which."""

import random
from collections.abc import Sequence as Several
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoder_service.engine.engine import Engine
from decoder_service.engine.lookup import LONGEST, Lookup
from decoder_service.engine.messages import (
    Begin,
    Decoded,
    Failed,
    Output,
    Release,
    Resume,
    Sampling,
    TurnBegan,
    TurnEnded,
    TurnSpec,
)
from decoder_service.engine.pages import PageBudget
from decoder_service.engine.scheduler import Scheduler
from decoder_service.engine.sequence import Piece, Sequence, State
from decoder_service.engine.speculation import Plausible, Speculation
from decoder_service.engine.step_times import StepTimes
from decoder_service.text.grammar import Grammar
from decoder_service.text.stops import TurnStop
from tests.unit.decoder_service.small_model import END_TOKEN, TOKENIZER, WORDS, SmallModel, grammar_of

CONTEXT = 160
CALL = r"""start: "{\"name\": \"" ("step" | "the steps" | "abc") "\", \"" /[a-z]{1,12}/ "\": " /[0-9]+/ "}" """
POEM = r'start: ("in the name or the step, " /[a-c]{2,5}/ ". ")+ "the end"'


@dataclass(frozen=True, slots=True)
class Life:
    """A sequence of up to two turns, with grammars written as Lark."""

    prompt: tuple[int, ...]
    sampling: Sampling
    turns: tuple[TurnSpec, ...]
    grammars: tuple[str | None, ...]
    fresh: tuple[int, ...]

    def grammar(self, number: int) -> Grammar | None:
        lark = self.grammars[number]
        return grammar_of(lark) if lark else None


@dataclass(slots=True)
class Said:
    """What came of one sequence."""

    tokens: list[int] = field(default_factory=list)
    text: str = ""
    ends: list[tuple[str, int]] = field(default_factory=list)
    began: list[int] = field(default_factory=list)
    failure: str = ""


def life_by(luck: random.Random) -> Life:
    words = luck.sample(range(WORDS - 1), 5)
    heats = (Sampling(), Sampling(0.5, seed=luck.randrange(99)), Sampling(1.2, 0.9, 40, seed=luck.randrange(99)))
    return Life(
        prompt=tuple(luck.choice(words) for _ in range(luck.randint(1, 50))),
        sampling=luck.choice(heats),
        turns=(turn_by(luck), turn_by(luck)),
        grammars=(luck.choice((None, None, CALL, POEM)), luck.choice((None, POEM))),
        fresh=tuple(luck.choice(words) for _ in range(luck.randint(1, 20))),
    )


def turn_by(luck: random.Random) -> TurnSpec:
    return TurnSpec(
        max_tokens=luck.randint(1, 60),
        stop=luck.choice(((), (), ("e",), ("the", "12"))),
        turn_stops=luck.choice(((), (TurnStop("a", "n"),))),
        replay=luck.choice((None,) * 4 + (tuple(luck.choices(range(200), k=10)),)),
    )


def live(lives: Several[Life], model: SmallModel, speculation: Speculation | None, pages: int = 60) -> list[Said]:
    """Runs all of them at once, then their second turns."""
    scheduler = Scheduler(PageBudget(pages), 4, prefill_chunk=24)
    engine = Engine(model, scheduler, TOKENIZER, frozenset({END_TOKEN}), CONTEXT, speculation)
    said = [Said() for _ in lives]
    for id_, life in enumerate(lives):
        hear(said, engine.execute(Begin(id_, life.prompt, life.sampling, life.turns[0]), life.grammar(0)))
    run(engine, said)
    for id_, life in enumerate(lives):
        hear(said, engine.execute(Resume(id_, life.fresh, life.turns[1]), life.grammar(1)))
    run(engine, said)
    for id_ in range(len(lives)):
        engine.execute(Release(id_))
    engine.close()
    assert set(scheduler.counts().values()) == {0}
    return said


def run(engine: Engine, said: list[Said]) -> None:
    while engine.busy():
        hear(said, engine.step())


def hear(said: list[Said], outputs: list[Output]) -> None:
    for output in outputs:
        one = said[output.id]
        match output:
            case TurnBegan():
                one.began.append(output.prompt_tokens)
            case Decoded():
                one.tokens += output.tokens
                one.text += output.text
            case TurnEnded():
                one.ends.append((output.reason, output.completion_tokens))
            case Failed():
                one.failure = output.message


class Oracle(Speculation):
    """Drafts what will be said, as is known from a run without, and lies about it now and then."""

    def __init__(self, lives: Several[Life], known: Several[Said], luck: random.Random) -> None:
        super().__init__()
        self._lives, self._known, self._luck = lives, known, luck
        self.right = 0

    def with_drafts(self, pieces: Several[Piece], plausible: Plausible) -> tuple[Piece, ...]:
        return tuple(replace(piece, drafts=self._draft(piece, plausible)) for piece in pieces)

    def _draft(self, piece: Piece, plausible: Plausible) -> tuple[int, ...]:
        sequence = piece.sequence
        room = min(sequence.limit - len(sequence.tokens) - 1, self._luck.randint(0, 8))
        if room < 1 or piece.count < sequence.uncached:
            return ()
        life, known = self._lives[sequence.id], self._known[sequence.id]
        given = len(life.prompt) + len(life.fresh) * sequence.returned
        draft = (known.tokens[len(sequence.tokens) - given :] + [7] * room)[:room]
        if self._luck.random() < 0.4:
            draft[self._luck.randrange(room)] = self._luck.randrange(WORDS)
        return plausible(sequence.id, tuple(draft))

    def learn(self, id_: int, chosen: list[int]) -> None:
        self.right += len(chosen) - 1


def check(seed: int, broken: int, pages: int) -> int:
    """Says how many drafts were right. Nothing that breaks has a grammar: what is forced needs no logits."""
    luck = random.Random(seed)
    lives = [life_by(luck) for _ in range(luck.randint(1, 6))]
    if broken:
        lives = [replace(life, grammars=(None, None)) for life in lives]
    plain = live(lives, SmallModel(seed, broken), None, pages)
    oracle = Oracle(lives, plain, luck)
    assert live(lives, SmallModel(seed, broken), oracle, pages) == plain
    assert live(lives, SmallModel(seed, broken), Speculation(), pages) == plain
    return oracle.right


@given(st.integers(0, 2**32 - 1), st.sampled_from((0, 0, 200)), st.sampled_from((15, 60)))
@settings(max_examples=60, deadline=None)
def test_the_same_is_said_with_and_without_drafts(seed: int, broken: int, pages: int) -> None:
    check(seed, broken, pages)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@given(st.integers(0, 2**32 - 1), st.sampled_from((0, 0, 200)), st.sampled_from((15, 60)))
@settings(max_examples=2000, deadline=None)
def test_the_same_is_said_two_thousand_times(seed: int, broken: int, pages: int) -> None:
    check(seed, broken, pages)


def test_drafts_of_the_oracle_are_mostly_right() -> None:
    assert sum(check(seed, 0, 60) for seed in range(8)) > 300


def test_a_replay_is_not_sped_up() -> None:
    replay = TurnSpec(40, replay=(5, 6) * 12)
    life = Life((5, 6, 5, 6), Sampling(), (replay, replay), (CALL, None), (5, 6))
    speculation = Speculation()
    engine = Engine(
        SmallModel(0), Scheduler(PageBudget(20), 4, 24), TOKENIZER, frozenset({END_TOKEN}), CONTEXT, speculation
    )
    engine.execute(Begin(0, life.prompt, life.sampling, life.turns[0]), life.grammar(0))
    said = []
    while engine.busy():
        said += [output.tokens for output in engine.step() if isinstance(output, Decoded)]
    engine.close()
    assert said == [(token,) for token in (*(5, 6) * 12, END_TOKEN)]


def test_what_a_grammar_forces_is_said_with_the_token_before_it() -> None:
    engine = Engine(
        SmallModel(0), Scheduler(PageBudget(20), 4, 24), TOKENIZER, frozenset({END_TOKEN}), CONTEXT, Speculation()
    )
    engine.execute(Begin(0, (1, 2, 3), Sampling(), TurnSpec(100)), grammar_of('start: "in the name" /[0-9]/'))
    said, steps = [], 0
    while engine.busy():
        said += [output for output in engine.step() if isinstance(output, Decoded)]
        steps += 1
    engine.close()
    assert [output.text for output in said[:1]] == ["in the name"]
    assert (len(said), steps) == (2, 2)


def piece_of(id_: int, tokens: list[int], limit: int = 1000) -> Piece:
    return Piece(Sequence(id_, tokens, limit, State.RUNNING, len(tokens) - 1), 1)


def whatever(_: int, draft: tuple[int, ...]) -> tuple[int, ...]:
    return draft


def speculation_after(seconds: dict[int, float]) -> Speculation:
    speculation = Speculation()
    for rows, each in seconds.items():
        speculation.observe([Piece(Sequence(0, [0] * rows, 1000), rows)], each)
    return speculation


REPEATED = [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3]


def test_drafts_run_where_they_cost_little_and_not_where_they_cost_much() -> None:
    cheap = speculation_after({rows: 1.0 + 0.02 * rows for rows in range(1, 17)})
    (drafted,) = cheap.with_drafts([piece_of(1, REPEATED)], whatever)
    assert drafted.drafts == (4, 5, 6, 7, 8, 1)
    dear = speculation_after({rows: float(rows) for rows in range(1, 17)})
    (plain,) = dear.with_drafts([piece_of(1, REPEATED)], whatever)
    assert plain.drafts == ()


def test_the_likelier_drafts_run_first() -> None:
    speculation = speculation_after({2: 1.0, 3: 1.2, 4: 1.3, 5: 2.5})
    thrice, twice = piece_of(1, REPEATED), piece_of(2, [9, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3])
    assert [len(each.drafts) for each in speculation.with_drafts([twice, thrice], whatever)] == [0, 2]


def test_nothing_is_drafted_before_it_is_known_what_a_step_takes_without() -> None:
    speculation = Speculation()
    assert speculation.with_drafts([piece_of(1, REPEATED)], whatever)[0].drafts == ()
    speculation.observe([piece_of(1, REPEATED)], 1.0)
    assert len(speculation.with_drafts([piece_of(1, REPEATED)], whatever)[0].drafts) == LONGEST


def test_drafts_end_where_the_sequence_must() -> None:
    speculation = speculation_after({1: 1.0})
    for limit, count in ((12, 0), (13, 1), (15, 3)):
        (piece,) = speculation.with_drafts([piece_of(1, REPEATED, limit)], whatever)
        assert len(piece.drafts) == count


def test_whoever_is_guessed_wrong_is_drafted_for_no_more_until_it_repeats_itself_again() -> None:
    speculation = speculation_after({rows: 1.0 + 0.1 * rows for rows in range(1, 17)})
    for _ in range(30):
        (piece,) = speculation.with_drafts([piece_of(1, REPEATED)], whatever)
        speculation.learn(1, [99])
    assert piece.drafts == ()
    for _ in range(10):
        (piece,) = speculation.with_drafts([piece_of(1, REPEATED)], whatever)
        speculation.learn(1, [4])
    assert len(piece.drafts) >= 2


def test_a_guess_is_what_followed_the_last_three_tokens_last_or_the_last_two() -> None:
    lookup = Lookup()
    assert lookup.guess([1, 2]).tokens == ()
    assert lookup.guess([1, 2, 3, 4, 9, 2, 3, 5, 1, 2, 3]).tokens == (4, 9, 2, 3, 5, 1)
    assert lookup.guess([1, 2, 3, 4, 9, 2, 3, 5, 1, 2, 3, 8, 2, 3]).tokens == (8, 2, 3, 8, 2, 3)
    assert lookup.guess([1, 2, 3, 4, 9, 2, 3, 5, 1, 2, 3, 8, 2, 3, 77]).tokens == ()


def test_a_lookup_keeps_up_with_sequences_of_any_length() -> None:
    lookup, tokens = Lookup(), list(range(3, 2000))
    assert lookup.guess(tokens).tokens == ()
    tokens += range(500, 1500)
    assert lookup.guess(tokens).tokens == tuple(range(1500, 1500 + LONGEST))


def test_steps_that_were_never_seen_are_taken_to_cost_nothing_more() -> None:
    times = StepTimes()
    assert times.seconds(3) is None
    times.observe(2, 1.0)
    assert times.seconds(1) is None
    assert times.seconds(9) == 1.0
    times.observe(9, 3.0)
    assert (times.seconds(8), times.seconds(9)) == (1.0, 3.0)


def test_what_looked_dear_once_is_tried_again() -> None:
    times = StepTimes()
    times.observe(4, 30.0)
    for _ in range(3000):
        times.observe(2, 1.0)
    dear = times.seconds(4)
    assert dear is not None and dear < 2.0
