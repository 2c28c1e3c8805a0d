"""Rounds over all decoders: each batch is decoded by one after the other, in an order that turns from round to round.

So a busy minute of the machine falls on one sample of each and not on all of one's, and no decoder always goes first.
All get the same prompts, which are fresh in every round, so that no cache of an earlier round's prompts helps.
"""

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tokenizers import Tokenizer

from benchmarks.decoding.process import Answer, DecoderFailedError

WARM_UP_TOKENS = 8
LOAD_SECONDS, DECODE_SECONDS = 900.0, 300.0  # the longest that a program may take

Prompts = list[list[int]]


class Process(Protocol):
    """What is asked of `DecoderProcess`."""

    def load(self, seconds: float) -> dict[str, Any]:
        """Waits until it is ready; what it says of itself."""
        ...

    def decode(self, prompts: Prompts, tokens: int, seconds: float) -> Answer:
        """Decodes so many tokens after each prompt."""
        ...

    def close(self) -> None:
        """Ends it."""
        ...


@dataclass(frozen=True, slots=True)
class Work:
    """What is measured: batches of prompts of `prompt` tokens that decode `tokens`, and one of `prefill` tokens."""

    batches: tuple[int, ...]
    prompt: int = 64
    tokens: int = 64
    prefill: int = 512


@dataclass(slots=True)
class Samples:
    """What one decoder answered, round by round, for each batch; and why it was left out, if it was."""

    about: dict[str, Any] = field(default_factory=dict)
    batches: dict[int, list[Answer]] = field(default_factory=dict)
    prefills: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    failure: str | None = None


class PromptSource:
    """Prompts of random tokens, the same for the same seed; ids that stand for text, never special ones."""

    def __init__(self, tokenizer: Tokenizer, seed: int) -> None:
        special = tokenizer.get_added_tokens_decoder().keys()
        self._tokens = [token for token in range(tokenizer.get_vocab_size(False)) if token not in special]
        self._random = random.Random(seed)

    def draw(self, count: int, length: int) -> Prompts:
        """So many prompts of so many tokens."""
        return [self._random.choices(self._tokens, k=length) for _ in range(count)]


def turned(names: Sequence[str], number: int) -> list[str]:
    """The order of a round."""
    start = number % len(names) if names else 0
    return [*names[start:], *names[:start]]


def measure(
    starts: Mapping[str, Callable[[], Process]],
    work: Work,
    rounds: int,
    prompts: PromptSource,
    say: Callable[[str], None],
) -> dict[str, Samples]:
    """Loads every decoder, warms it up, goes through all rounds, ends them. One that fails is left out from then on."""
    contest = Contest(starts, work, prompts, say)
    try:
        contest.load()
        contest.warm_up()
        for number in range(rounds):
            contest.round(number, rounds)
    finally:
        contest.close()
    return contest.samples


class Contest:
    """Decoders that are ready, and what they have answered so far."""

    def __init__(
        self,
        starts: Mapping[str, Callable[[], Process]],
        work: Work,
        prompts: PromptSource,
        say: Callable[[str], None],
    ) -> None:
        self.samples = {name: Samples() for name in starts}
        self._starts = starts
        self._work = work
        self._prompts = prompts
        self._say = say
        self._running: dict[str, Process] = {}

    def load(self) -> None:
        """One after the other, so that each has the machine for itself."""
        for name, start in self._starts.items():
            self._say(f"loading {name}")
            with self._leaving_out(name):
                self._running[name] = start()
                self.samples[name].about = self._running[name].load(LOAD_SECONDS)

    def warm_up(self) -> None:
        """Every size once, uncounted: decoders compile and choose kernels when they first see one."""
        for size in self._work.batches:
            for _ in self._answers("warming up", 0, self._prompts.draw(size, self._work.prompt), WARM_UP_TOKENS):
                pass
        for _ in self._answers("warming up", 0, self._prompts.draw(1, self._work.prefill), 1):
            pass

    def round(self, number: int, of: int) -> None:
        """Every size once, each by all decoders in turn."""
        label = f"round {number + 1} of {of}"
        for size in self._work.batches:
            prompts = self._prompts.draw(size, self._work.prompt)
            for name, answer in self._answers(label, number, prompts, self._work.tokens):
                self.samples[name].batches.setdefault(size, []).append(answer)
        for name, answer in self._answers(label, number, self._prompts.draw(1, self._work.prefill), 1):
            self.samples[name].prefills.append(answer.first)

    def close(self) -> None:
        """Ends all that still run."""
        while self._running:
            self._running.popitem()[1].close()

    def _answers(self, label: str, number: int, prompts: Prompts, tokens: int) -> Iterator[tuple[str, Answer]]:
        for name in turned(list(self._running), number):
            self._say(f"{label}: {len(prompts)} x {len(prompts[0])} + {tokens} tokens, {name}")
            with self._leaving_out(name):
                answer = self._running[name].decode(prompts, tokens, DECODE_SECONDS)
                self.samples[name].peak_bytes = max(self.samples[name].peak_bytes, answer.peak_bytes)
                yield name, answer

    @contextlib.contextmanager
    def _leaving_out(self, name: str) -> Iterator[None]:
        try:
            yield
        except DecoderFailedError as error:
            self.samples[name].failure = str(error)
            if process := self._running.pop(name, None):
                process.close()
