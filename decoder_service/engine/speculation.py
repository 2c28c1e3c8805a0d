"""Which drafts a step runs. Pure policy: no torch, no clock.

With few sequences a step waits for the model's weights, and a further token costs it little; with many it is busy with
the tokens. So drafts run where they pay: those that are likeliest right, as many as let the most tokens a second be
expected, by what steps of so many tokens have taken. Every guess is compared with what is chosen, whether it was run or
not, so a sequence that begins to repeat itself is noticed at no cost, as is one that stops.
"""

from collections.abc import Callable, Iterable
from collections.abc import Sequence as Several
from dataclasses import replace

from decoder_service.engine.lookup import Guess, Lookup
from decoder_service.engine.pace import most_rows
from decoder_service.engine.sequence import Piece
from decoder_service.engine.step_times import StepTimes

Plausible = Callable[[int, tuple[int, ...]], tuple[int, ...]]  # how much of a draft a sequence, by its id, could say


class Speculation:
    """The guesses of an engine's sequences, and what steps take."""

    def __init__(self) -> None:
        self._lookups: dict[int, Lookup] = {}
        self._guesses: dict[int, Guess] = {}
        self._times = StepTimes()

    def with_drafts(self, pieces: Several[Piece], plausible: Plausible) -> tuple[Piece, ...]:
        """These pieces of sequences that decode, with the drafts that pay."""
        guesses = [self._guess(piece, plausible) for piece in pieces]
        self._guesses = {piece.sequence.id: guess for piece, guess in zip(pieces, guesses, strict=True)}
        counts = self._allot(sum(piece.count for piece in pieces), guesses)
        return tuple(
            replace(piece, drafts=guess.tokens[:count]) if count else piece
            for piece, guess, count in zip(pieces, guesses, counts, strict=True)
        )

    def learn(self, id_: int, chosen: list[int]) -> None:
        """What a sequence has chosen in the step that was guessed at last."""
        guess = self._guesses.pop(id_, None)
        if guess is not None and guess.tokens:
            self._lookups[id_].learn(guess, chosen)

    def observe(self, pieces: Iterable[Piece], seconds: float) -> None:
        """What a step without chunks of prompts took."""
        self._times.observe(sum(piece.count + len(piece.drafts) for piece in pieces), seconds)

    def forget(self, id_: int) -> None:
        """A sequence is gone."""
        self._lookups.pop(id_, None)
        self._guesses.pop(id_, None)

    def _guess(self, piece: Piece, plausible: Plausible) -> Guess:
        sequence = piece.sequence
        room = sequence.limit - len(sequence.tokens) - 1  # the token after the last draft is the last
        if room < 1 or piece.count < sequence.uncached:
            return Guess()
        guess = self._lookups.setdefault(sequence.id, Lookup()).guess(sequence.tokens)
        return replace(guess, tokens=plausible(sequence.id, guess.tokens[:room]))

    def _allot(self, rows: int, guesses: Several[Guess]) -> list[int]:
        """How many tokens of each guess are run, so that the most tokens a second are expected."""
        counts = [0] * len(guesses)
        seconds = self._times.seconds(rows)
        if seconds is None:
            return counts
        gains = sorted(_gains(guesses), reverse=True)[: max(0, most_rows(len(guesses)) - rows)]
        taken, expected, best = 0, float(len(guesses)), len(guesses) / seconds
        for count, (gain, _) in enumerate(gains, 1):
            expected += gain
            rate = expected / (self._times.seconds(rows + count) or seconds)
            if rate > best:
                taken, best = count, rate
        for _, place in gains[:taken]:
            counts[place] += 1
        return counts


def _gains(guesses: Several[Guess]) -> Iterable[tuple[float, int]]:
    """For each guessed token the chance that it and all before it are right, and whose it is."""
    for place, guess in enumerate(guesses):
        for number in range(len(guess.tokens)):
            yield guess.hope ** (number + 1), place
