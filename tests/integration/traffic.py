"""Sequences that come, go, park and return at random between the steps of an engine; the same for the same seed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from decoder_service.engine.engine import Engine
from decoder_service.engine.messages import (
    Begin,
    Command,
    Decoded,
    EndTurn,
    Expect,
    Failed,
    Output,
    Release,
    Resume,
    Sampling,
    TurnBegan,
    TurnEnded,
    TurnSpec,
)

JOIN, LEAVE, VETO, RETURN, EXPECT = 0.9, 0.004, 0.01, 0.03, 0.1  # chances between two steps, of each it is open to
TURNS = 3  # of a sequence, at most


@dataclass(slots=True, eq=False)
class Guest:
    """One sequence. `tokens`: all it has so far; `decoded`: the places of those that were decoded; `turns`: those still
    to come; `cached`: of how many tokens it had keys and values when it parked; `left`: what its turn may still have.
    """

    id: int
    tokens: list[int]
    turns: int
    decoded: list[int] = field(default_factory=list)
    state: str = "waiting"
    cached: int = 0
    left: int = 0


@dataclass(slots=True)
class Tally:
    """What has happened: so many sequences left in mid-turn, turns were ended from outside, returns found all that was
    computed (`kept`) or lost some of it (`recomputed`), prompts began with what others had computed (`shared`)."""

    left: int = 0
    vetoed: int = 0
    kept: int = 0
    recomputed: int = 0
    shared: int = 0
    most_running: int = 0


class Traffic:
    """Drives an engine with these prompts. `turn` is the range of a turn's most tokens, `result` that of the tokens
    between two turns, which are cut from `results`."""

    def __init__(
        self,
        engine: Engine,
        prompts: list[list[int]],
        results: list[int],
        random: Random,
        turn: tuple[int, int],
        result: tuple[int, int],
    ) -> None:
        self._engine = engine
        self._coming = iter(enumerate(prompts))
        self._results, self._random, self._turn, self._result = results, random, turn, result
        self._here: dict[int, Guest] = {}
        self.guests: list[Guest] = []
        self.tally = Tally()

    def run(self) -> None:
        """Until everybody has come and gone."""
        while self._join() or self._here:
            for command in [command for guest in self._here.values() for command in self._disturb(guest)]:
                self._execute(command)
            for output in self._engine.step():
                self._hear(self._here[output.id], output)
            self.tally.most_running = max(self.tally.most_running, self._engine.counts()["running"])

    def _join(self) -> bool:
        if self._random.random() > JOIN:
            return True
        number, prompt = next(self._coming, (0, None))
        if prompt is None:
            return False
        guest = Guest(number, list(prompt), self._random.randint(1, TURNS))
        self.guests.append(guest)
        self._here[number] = guest
        self._execute(Begin(number, tuple(prompt), Sampling(), self._spec(guest)))
        return True

    def _disturb(self, guest: Guest) -> Iterator[Command]:
        chance = self._random.random()
        if guest.state == "parked" and not guest.turns:
            yield Release(guest.id)
        elif guest.state == "parked" and chance < RETURN:
            start = self._random.randrange(len(self._results) // 2)
            fresh = self._results[start : start + self._random.randint(*self._result)]
            guest.tokens += fresh
            guest.state = "returning"
            yield Resume(guest.id, tuple(fresh), self._spec(guest))
        elif guest.state == "parked" and chance > 1 - EXPECT:
            yield Expect(guest.id, self._random.random())
        elif chance < LEAVE:
            self.tally.left += 1
            yield Release(guest.id)
        elif guest.state == "running" and chance < VETO + LEAVE:
            yield EndTurn(guest.id, "veto")

    def _spec(self, guest: Guest) -> TurnSpec:
        guest.turns -= 1
        guest.left = self._random.randint(*self._turn)
        return TurnSpec(max_tokens=guest.left)

    def _execute(self, command: Command) -> None:
        outputs = self._engine.execute(command)
        if isinstance(command, Release):
            del self._here[command.id]
        for output in outputs:
            self._hear(self._here[output.id], output)

    def _hear(self, guest: Guest, output: Output) -> None:
        match output:
            case TurnBegan():
                self._began(guest, output)
            case Decoded():
                guest.decoded += range(len(guest.tokens), len(guest.tokens) + len(output.tokens))
                guest.tokens += output.tokens
                guest.left -= len(output.tokens)
            case TurnEnded():
                guest.state, guest.cached = "parked", len(guest.tokens) - 1
                self.tally.vetoed += output.reason == "veto"
                assert (output.reason == "length") == (guest.left == 0 and output.reason != "stop")
            case Failed():
                raise AssertionError(output.message)

    def _began(self, guest: Guest, output: TurnBegan) -> None:
        assert output.prompt_tokens == len(guest.tokens)
        if guest.state == "returning":
            self.tally.kept += output.cached_tokens == guest.cached
            self.tally.recomputed += output.cached_tokens < guest.cached
        elif output.cached_tokens:
            self.tally.shared += 1
        guest.state = "running"
