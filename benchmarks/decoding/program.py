"""What the programs share: arguments, the lines of JSON, and the clock. Standard library only."""

import argparse
import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

SLACK = 512  # tokens that a sequence that starts early may decode until the last one has started
SET_PARENT_DEATH_SIGNAL = 1  # of prctl(2)


class Recorder:
    """Times of the steps of one batch, from its making on.

    The steps that count begin when every sequence has its first token, and end when `tokens - 1` more for each have
    come out. So where sequences start one after the other, the batch is full in every step that counts.
    """

    def __init__(self, batch: int, tokens: int) -> None:
        self._waiting = set(range(batch))
        self._wanted = batch * (tokens - 1)
        self._first = 0.0
        self._steps: list[float] = []
        self._tokens: list[int] = []
        self._began = self._last = time.perf_counter()

    @property
    def done(self) -> bool:
        """Whether all that was wanted has come out."""
        return not self._waiting and sum(self._tokens) >= self._wanted

    def step(self, counts: dict[int, int]) -> None:
        """A step has ended, in which so many tokens came out for each sequence, by its place in the batch."""
        now = time.perf_counter()
        if self._waiting:
            self._waiting -= counts.keys()
            self._first = now - self._began
        elif not self.done:
            self._steps.append(now - self._last)
            self._tokens.append(sum(counts.values()))
        self._last = now

    def answer(self) -> dict[str, Any]:
        """What the program says. Raises RuntimeError where tokens are lacking."""
        if not self.done:
            raise RuntimeError(
                f"{sum(self._tokens)} of {self._wanted} tokens came out, {len(self._waiting)} prompts wait"
            )
        return {"first": self._first, "steps": self._steps, "tokens": self._tokens}


class Decoder(Protocol):
    """A decoder as a program drives it."""

    def describe(self) -> dict[str, Any]:
        """`versions` by package, `weights` in a word or two."""
        ...

    def decode(self, prompts: list[list[int]], tokens: int) -> dict[str, Any]:
        """Decodes so many tokens for each prompt, whatever they are, and gives its recorder's answer."""
        ...


def arguments() -> argparse.Namespace:
    """`model` (a directory, or for llama.cpp a file), `threads`, `sequences` (most in a batch); for ours, `dtype` and
    `quantization`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--sequences", type=int, required=True)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--quantization", default="auto")
    return parser.parse_args()


def serve(load: Callable[[argparse.Namespace], Decoder]) -> None:
    """The program: loads, says so, and answers until standard input ends."""
    _die_with_parent()
    answers = _answers()
    decoder = load(arguments())
    _say(answers, {"ready": decoder.describe() | {"peak_bytes": peak_bytes()}})
    for line in sys.stdin:
        _say(answers, _answer(decoder, line))


def peak_bytes() -> int:
    """Most memory that this process has had."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _answer(decoder: Decoder, line: str) -> dict[str, Any]:
    try:
        command = json.loads(line)["decode"]
        return decoder.decode(command["prompts"], command["tokens"]) | {"peak_bytes": peak_bytes()}
    except Exception as error:  # whatever a decoder does, its figures are what is missing, not those of the others
        return {"error": f"{type(error).__name__}: {error}"}


def _answers() -> int:
    """A descriptor of its own for the answers; what libraries print on standard output goes to standard error."""
    answers = os.dup(1)
    os.dup2(2, 1)
    return answers


def _say(descriptor: int, answer: dict[str, Any]) -> None:
    data = json.dumps(answer).encode() + b"\n"
    while data:
        data = data[os.write(descriptor, data) :]


def _die_with_parent() -> None:
    """A stopped process would not notice that nobody asks any more."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
