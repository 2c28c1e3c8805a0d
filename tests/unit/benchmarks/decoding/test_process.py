import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.decoding.process import ROOT, DecoderFailedError, DecoderProcess
from tests.processes import SECONDS, is_running

FAKE = [sys.executable, str(Path(__file__).parent / "fake_program.py")]
OPTIONS = ["--model", "m", "--threads", "1", "--sequences", "4"]
Starter = Callable[..., DecoderProcess]


@pytest.fixture
def start() -> Iterator[Starter]:
    processes: list[DecoderProcess] = []

    def begin(*command: str, fault: str = "") -> DecoderProcess:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "FAKE_FAULT": fault}
        processes.append(DecoderProcess("fake", command or [*FAKE, *OPTIONS], environment))
        return processes[-1]

    yield begin
    for process in processes:
        process.close()


def saying(text: str) -> list[str]:
    """A program that says this, then waits."""
    return [sys.executable, "-c", f"import sys, time; print({text!r}, flush=True); time.sleep(600)"]


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


def test_a_program_loads_and_answers_with_its_steps(start):
    process = start()
    about = process.load(30)
    answer = process.decode([[1, 2], [3, 4]], 5, 30)
    assert about["weights"] == "none" and about["load_seconds"] > 0
    assert answer.tokens == (2, 2, 2, 2)
    assert all(0.001 <= step < 1 for step in (answer.first, *answer.steps))
    assert answer.peak_bytes > 1 << 20


def test_a_program_is_stopped_while_it_is_not_asked(start):
    process = start()
    process.load(30)
    state = Path(f"/proc/{process._process.pid}/stat")
    eventually(lambda: state.read_text().rpartition(")")[2].split()[0] == "T")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("die", r"fake ended \(exit status 3\) when it was to decode 2 tokens of 1 sequences"),
        ("raise", "fake could not decode 2 tokens of 1 sequences: ValueError: a bad day"),
        ("hang", "fake did not decode 2 tokens of 1 sequences in the time that it had"),
    ],
)
def test_a_program_that_fails_is_named_with_what_it_said_last(start, fault, said):
    process = start(fault=fault)
    process.load(30)
    process.decode([[1]], 2, 30)
    with pytest.raises(DecoderFailedError, match=said) as caught:
        process.decode([[1]], 2, 0.5)
    assert "a warning" in str(caught.value)


def test_a_program_that_cannot_load_is_named(start):
    with pytest.raises(
        DecoderFailedError, match=r"ended \(exit status 1\) when it was to load\n(.*\n)*.*no weights here"
    ):
        start(fault="load").load(30)


def test_one_that_does_not_exist_is_named():
    with pytest.raises(DecoderFailedError, match="fake cannot be started"):
        DecoderProcess("fake", ["/nowhere/python"], {})


@pytest.mark.parametrize("text", ["hello", "[]", "{}", '{"ready": 1}'])
def test_a_program_that_breaks_the_protocol_is_named(start, text):
    with pytest.raises(DecoderFailedError, match=r"fake (answered|said)"):
        start(*saying(text)).load(30)


@pytest.mark.parametrize("answer", ['{"first": 1}', '{"first": "x", "steps": [], "tokens": [], "peak_bytes": 0}', "?"])
def test_an_answer_that_is_none_is_named(start, answer):
    process = start(*saying(f'{{"ready": {{}}}}\n{answer}'))
    process.load(30)
    with pytest.raises(DecoderFailedError, match="fake answered"):
        process.decode([[1]], 2, 30)


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel")
def test_programs_die_with_the_benchmark_even_when_they_are_stopped():
    driver = textwrap.dedent(f"""
        import os, time
        from benchmarks.decoding.process import DecoderProcess
        process = DecoderProcess("fake", {[*FAKE, *OPTIONS]!r}, {{**os.environ, "OMP_NUM_THREADS": "1"}})
        process.load(30)
        print(process._process.pid, flush=True)
        time.sleep(600)
    """)
    with subprocess.Popen(
        [sys.executable, "-c", driver], env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE
    ) as benchmark:
        assert benchmark.stdout is not None
        pid = int(benchmark.stdout.readline())
        benchmark.send_signal(signal.SIGKILL)
    eventually(lambda: not is_running(pid))
