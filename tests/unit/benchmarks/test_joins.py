"""The benchmark of prompts that join: what it asks of an engine, and that it measures nothing else."""

import pytest

from benchmarks.decoding.embedded import Embedded
from benchmarks.decoding.own_engine import WrongMeasurementError
from benchmarks.joins import AFTER, LONG, RUNNING, SHORT, Joins, Steps, measure
from decoder_service.engine.messages import Begin, Command, Decoded, Failed, Output, Release


class ScriptedEngine:
    """A prompt takes a step for every `chunk` tokens; whoever has run his decodes one token a step."""

    def __init__(self, chunk: int = 100) -> None:
        self.log: list[Command] = []
        self._chunk = chunk
        self._left: dict[int, int] = {}

    def execute(self, command: Command) -> list[Output]:
        self.log.append(command)
        if isinstance(command, Begin):
            self._left[command.id] = len(command.prompt)
        elif isinstance(command, Release):
            del self._left[command.id]
        return []

    def step(self) -> list[Output]:
        self._left = {id_: left - self._chunk for id_, left in self._left.items()}
        return [Decoded(id_, (7,), "x") for id_, left in self._left.items() if left <= 0]


class Prompts:
    def draw(self, count: int, length: int) -> list[list[int]]:
        return [[1] * length for _ in range(count)]


def rounds_of(engine: ScriptedEngine, rounds: int = 2) -> list[Steps]:
    embedded = Embedded(engine, None, "none", None)  # type: ignore[arg-type]
    return measure(embedded, Prompts(), rounds, lambda _: None).rounds  # type: ignore[arg-type]


def test_a_long_prompt_joins_those_who_decode_and_all_leave():
    engine = ScriptedEngine()
    rounds = rounds_of(engine)
    lengths = [(len(each.during), len(each.after), len(each.alone)) for each in rounds]
    assert lengths == [(LONG // 100, AFTER, LONG // 100)] * 2
    prompts = [len(each.prompt) for each in engine.log if isinstance(each, Begin)]
    assert prompts == ([SHORT] * RUNNING + [LONG] + [SHORT] * RUNNING) * 3  # a round more, which is not counted
    assert sum(isinstance(each, Release) for each in engine.log) == len(prompts)


def test_somebody_who_gets_no_token_while_the_prompt_runs_is_an_error():
    engine = ScriptedEngine()
    whole = engine.step
    engine.step = lambda: whole()[1:] if len(engine.log) > RUNNING else whole()  # type: ignore[method-assign]
    with pytest.raises(WrongMeasurementError, match=f"1 of {RUNNING} got no token"):
        rounds_of(engine)
    assert sum(isinstance(each, Release) for each in engine.log) == RUNNING + 1


def test_an_engine_that_fails_is_an_error():
    engine = ScriptedEngine()
    engine.step = lambda: [Failed(1, "no more")]  # type: ignore[method-assign]
    with pytest.raises(WrongMeasurementError, match="no more"):
        rounds_of(engine)


def test_a_place_counts_with_the_median_of_its_rounds_against_the_median_step_alone():
    joins = Joins(
        [
            Steps(during=[3.0, 9.0, 4.0, 90.0], alone=[2.0, 50.0, 2.0, 2.0]),
            Steps(during=[3.0, 3.0, 5.0, 5.0], alone=[2.0, 2.0, 2.0, 2.0]),
            Steps(during=[70.0, 4.0], alone=[2.0, 2.0]),
        ]
    )
    assert joins.usual == 2.0
    assert joins.places == [3.0, 9.0, 4.0, 5.0]
    assert joins.ratio == 4.5
    assert joins.beyond(joins.rounds[0].during) == 0.5
