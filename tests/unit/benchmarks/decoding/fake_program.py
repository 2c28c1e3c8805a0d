"""A decoder's program without a model: says what it is told to at the second question, and is honest before."""

import argparse
import os
import sys
import time
from typing import Any

from benchmarks.decoding.program import Recorder, serve

FAULT = os.environ.get("FAKE_FAULT", "")


class Fake:
    """Each step takes a millisecond and gives every sequence a token."""

    def __init__(self, options: argparse.Namespace) -> None:
        print("a library's greeting on standard output")
        print("a warning", file=sys.stderr)
        if FAULT == "load":
            raise SystemExit("no weights here")
        self._asked = 0

    def describe(self) -> dict[str, Any]:
        return {"versions": {"fake": "1"}, "weights": "none", "threads": os.environ["OMP_NUM_THREADS"]}

    def decode(self, prompts: list[list[int]], tokens: int) -> dict[str, Any]:
        self._asked += 1
        if self._asked == 2:
            self._fail()
        recorder = Recorder(len(prompts), tokens)
        while not recorder.done:
            time.sleep(0.001)
            recorder.step(dict.fromkeys(range(len(prompts)), 1))
        return recorder.answer()

    def _fail(self) -> None:
        match FAULT:
            case "die":
                os._exit(3)
            case "hang":
                time.sleep(600)
            case "raise":
                raise ValueError("a bad day")


if __name__ == "__main__":
    serve(Fake)
