"""The benchmark of turns: what it asks of an engine, and that it measures nothing else."""

import pytest

from benchmarks.decoding.embedded import Embedded
from benchmarks.decoding.own_engine import WrongMeasurementError
from benchmarks.turns import CONTEXT, RESULT, TURN, Conversation, Times, measure
from decoder_service.engine.messages import Begin, Command, Decoded, Failed, Output, Release, Resume, TurnBegan


class ScriptedEngine:
    """Takes two steps to a token; keeps `kept` tokens of a parked sequence."""

    def __init__(self, kept: int = CONTEXT + TURN - 1, found: int = 0) -> None:
        self.log: list[Command] = []
        self._kept, self._found = kept, found
        self._outputs: list[list[Output]] = []

    def execute(self, command: Command) -> list[Output]:
        self.log.append(command)
        if isinstance(command, Begin | Resume):
            cached = self._found if isinstance(command, Begin) else self._kept
            tokens = [[Decoded(command.id, (7,), "x")] for _ in range(command.turn.max_tokens)]
            self._outputs = [[TurnBegan(command.id, 0, cached)], *tokens]
        return []

    def busy(self) -> bool:
        return bool(self._outputs)

    def step(self) -> list[Output]:
        return self._outputs.pop(0)


class Prompts:
    def draw(self, count: int, length: int) -> list[list[int]]:
        return [[1] * length for _ in range(count)]


def times_of(engine: ScriptedEngine, rounds: int = 3) -> Times:
    return measure(Embedded(engine, None, "none", None), Prompts(), rounds, lambda _: None)  # type: ignore[arg-type]


def test_both_ways_take_turns_and_leave_nothing_behind():
    engine = ScriptedEngine()
    times = times_of(engine)
    assert (len(times.parked), len(times.again)) == (3, 3)
    parked, again = [CONTEXT, RESULT, "released"], [CONTEXT + TURN + RESULT, "released"]
    asked = [
        len(each.prompt) if isinstance(each, Begin) else len(each.tokens) if isinstance(each, Resume) else "released"
        for each in engine.log
    ]
    assert asked == [*again, *parked, *parked, *again, *again, *parked, *parked, *again]
    assert {each.id for each in engine.log if isinstance(each, Release)} == set(range(1, 9))


@pytest.mark.parametrize("engine", [ScriptedEngine(kept=CONTEXT - 1), ScriptedEngine(found=16)])
def test_a_parked_sequence_that_lost_tokens_and_a_new_one_that_found_some_are_errors(engine):
    with pytest.raises(WrongMeasurementError, match="tokens were in the cache"):
        times_of(engine)


def test_an_engine_that_fails_is_an_error():
    engine = ScriptedEngine()
    engine.step = lambda: [Failed(1, "no more")]  # type: ignore[method-assign]
    with pytest.raises(WrongMeasurementError, match="no more"):
        Conversation(Embedded(engine, None, "none", None)).begin([1], 1)  # type: ignore[arg-type]


def test_an_engine_that_stops_early_is_an_error_and_not_waited_for():
    engine = ScriptedEngine()
    engine.step = lambda: engine._outputs.pop() and []  # type: ignore[method-assign]
    with pytest.raises(WrongMeasurementError, match="after 0 of 3 tokens"):
        Conversation(Embedded(engine, None, "none", None)).begin([1], 3)  # type: ignore[arg-type]


def test_the_ratio_is_that_of_the_medians():
    assert Times([1.0, 2.0, 90.0], [30.0, 40.0, 50.0]).ratio == 20.0
