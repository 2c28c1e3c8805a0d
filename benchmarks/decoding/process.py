"""One decoder's program, seen from the benchmark: started, asked, stopped between questions, ended."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LONGEST_ANSWER = 16 << 20  # bytes
LAST_LINES = 6  # of what a program that failed has said
END_SECONDS = 5.0  # from the end of a program's output to its own


class DecoderFailedError(Exception):
    """A decoder died, hung or broke the protocol; the message says which, when, and what it said last."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one batch; see `benchmarks.decoding`."""

    first: float
    steps: tuple[float, ...]
    tokens: tuple[int, ...]
    peak_bytes: int


class DecoderProcess:
    """A program and its process group. It runs only between a question and the answer."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # as long as the process
        self._rest = b""
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                cwd=ROOT,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            self._errors.close()
            raise DecoderFailedError(f"{name} cannot be started: {error}") from error

    def load(self, seconds: float) -> dict[str, Any]:
        """What the program says of itself when it is ready, and `load_seconds` from its start. At most once."""
        began = time.perf_counter()
        answer = self._answer("load", seconds)
        if not isinstance(ready := answer.get("ready"), dict):
            raise self._failed(f"said {str(answer)[:200]} instead of that it is ready")
        self._signal(signal.SIGSTOP)
        return ready | {"load_seconds": time.perf_counter() - began}

    def decode(self, prompts: list[list[int]], tokens: int, seconds: float) -> Answer:
        """Asks for so many tokens after each prompt. Raises DecoderFailedError, also when `seconds` have passed."""
        question = json.dumps({"decode": {"prompts": prompts, "tokens": tokens}}).encode() + b"\n"
        what = f"decode {tokens} tokens of {len(prompts)} sequences"
        with self._running():
            try:
                assert self._process.stdin is not None
                self._process.stdin.write(question)
                self._process.stdin.flush()
            except OSError as error:
                raise self._failed(f"was gone when it was to {what}") from error
            answer = self._answer(what, seconds)
        if "error" in answer:
            raise self._failed(f"could not {what}: {answer['error']}")
        try:
            return Answer(
                float(answer["first"]), tuple(answer["steps"]), tuple(answer["tokens"]), int(answer["peak_bytes"])
            )
        except (KeyError, TypeError, ValueError) as error:
            raise self._failed(f"answered {str(answer)[:200]} when it was to {what}") from error

    def close(self) -> None:
        """Kills the program and its group: it has nothing to keep."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            with contextlib.suppress(OSError):  # what was never read by it
                if stream is not None:
                    stream.close()

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        self._signal(signal.SIGCONT)
        try:
            yield
        finally:
            self._signal(signal.SIGSTOP)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _answer(self, what: str, seconds: float) -> dict[str, Any]:
        line = self._line(what, time.monotonic() + seconds)
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise self._failed(f"answered {line[:200]!r}, which is no JSON object, when it was to {what}")
        return answer

    def _line(self, what: str, deadline: float) -> bytes:
        """The next line of standard output; what follows it is kept."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise self._failed(f"did not {what} in the time that it had")
                data = os.read(descriptor, 1 << 16)
                if not data:
                    raise self._failed(f"ended ({self._status()}) when it was to {what}")
                self._rest += data
                if len(self._rest) > LONGEST_ANSWER:
                    raise self._failed(f"answered without end when it was to {what}")
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def _status(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = self._process.wait(END_SECONDS)
            return f"signal {-status}" if status < 0 else f"exit status {status}"
        return "its output, not itself"

    def _failed(self, what: str) -> DecoderFailedError:
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - (1 << 14)))
        said = self._errors.read().decode(errors="replace").strip().splitlines()[-LAST_LINES:]
        return DecoderFailedError("\n    ".join([f"{self.name} {what}", *said]))
