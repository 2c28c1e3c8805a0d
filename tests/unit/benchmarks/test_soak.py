"""The soak: what it asks, what it calls growth, and what it sees of a process."""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import grpc
import pytest

from benchmarks.soaking.load import Load
from benchmarks.soaking.requests import KINDS, Ask, draw
from benchmarks.soaking.verdict import MIB, MOST_GROWTH, complaints, growth, slope, trends
from benchmarks.soaking.watch import Counts, Held, held_by
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.rpc.errors import Reason

TIMES = [float(second) for second in range(0, 600, 5)]


def held(memory: float = 100 * MIB, descriptors: int = 20, threads: int = 10, others: int = 0) -> Held:
    """One process with these, and so many more beside it."""
    beside = {pid: Counts(11, 1) for pid in range(2, 2 + others)}
    return Held({1: int(memory)}, {1: Counts(descriptors, threads)} | beside)


def test_the_slope_is_that_of_a_line_however_far_a_few_samples_are_off():
    values = [100 + 2 * time for time in TIMES]
    values[7] = values[50] = 1e9
    assert slope(TIMES, values) == pytest.approx(2)
    assert growth(TIMES, values) == pytest.approx(2 * TIMES[-1])
    assert (slope([], []), growth([1.0], [5.0])) == (0, 0)


def test_noise_around_a_level_is_no_growth_and_a_leak_under_it_is():
    random = Random(1)
    noise = [100 * MIB + random.gauss(0, 10 * MIB) for _ in TIMES]
    leak = [value + MOST_GROWTH * 1.5 * time / TIMES[-1] for value, time in zip(noise, TIMES, strict=True)]
    grown = trends(TIMES, {"flat": [held(each) for each in noise], "leaking": [held(each) for each in leak]})
    (complaint,) = complaints(grown, {}, {})
    assert complaint.startswith("leaking: memory grows by")


def test_only_processes_that_live_all_the_time_have_a_trend():
    flat = [Held({1: MIB, 2: 9 * MIB, 100 + number: MIB * number}, {}) for number in range(len(TIMES))]
    engine = [Held({1: MIB, 2: int(MOST_GROWTH * time / TIMES[-1])}, {}) for time in TIMES]
    grown = trends(TIMES, {"tools": flat, "decoder": engine})
    assert grown["tools"] == 0
    assert grown["decoder"] == pytest.approx(MOST_GROWTH, rel=0.01)


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (held(), []),
        (held(descriptors=28), []),
        (held(descriptors=29), ["29 descriptors"]),
        (held(others=1), []),
        (held(descriptors=29, others=1), ["29 descriptors"]),
        (held(threads=30, others=8), ["9 processes", "30 threads"]),
        (held(200 * MIB), ["100.0 MiB more"]),
    ],
)
def test_what_is_held_with_nobody_asking_must_be_what_was(now, words):
    found = complaints({}, {"decoder": held()}, {"decoder": now})
    assert len(found) == len(words)
    assert all(word in complaint for word, complaint in zip(words, found, strict=True))


def test_a_process_is_seen_with_what_it_started():
    child = subprocess.Popen(
        [sys.executable, "-c", "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1); input()'])"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        child.stdout.readline()
        seen = held_by(child.pid)
        assert seen.processes == 2 and seen.threads >= 2 and seen.descriptors >= 6
        assert MIB < seen.memory_by_process[child.pid] < seen.memory_bytes
        assert held_by(os.getpid()).processes >= 3
    finally:
        child.stdin.close()
        child.stdout.close()
        child.wait()
    with pytest.raises(ProcessLookupError):
        held_by(child.pid)


def test_pages_of_a_file_are_not_what_a_process_holds(tmp_path: Path):
    (tmp_path / "weights").write_bytes(bytes(64 * MIB))
    program = (
        "import mmap, sys; file = open(sys.argv[1], 'rb'); seen = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ);"
        "own = bytearray(b'x') * (32 << 20); print(sum(seen[::4096]), flush=True); input()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "weights")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        child.stdout.readline()
        assert 32 * MIB < held_by(child.pid).memory_bytes < 64 * MIB
    finally:
        child.stdin.close()
        child.stdout.close()
        child.wait()


def test_the_mix_is_the_same_for_a_seed_and_has_all_kinds():
    asked = [[draw(random) for _ in range(400)] for random in (Random(3), Random(3))]
    assert [each.request for each in asked[0]] == [each.request for each in asked[1]]
    assert Counter(each.kind for each in asked[0]).keys() == KINDS.keys()


def test_a_json_answer_is_checked():
    check = KINDS["JSON answer"][1](Random(1)).check
    assert check(json.dumps({"ok": True, "size": 7}))
    assert not check(json.dumps({"ok": 1, "size": 7}))


class Calls:
    """A gateway whose every answer is these events, or this error."""

    def __init__(self, *events: pb.CompleteResponse | Exception) -> None:
        self._events = events
        self.cancelled = 0

    def Complete(self, request: pb.CompleteRequest, timeout: float) -> "Calls":
        return self

    async def __aiter__(self):
        for event in self._events:
            await asyncio.sleep(0)
            if isinstance(event, Exception):
                raise event
            yield event

    def cancel(self) -> None:
        self.cancelled += 1


def said(text: str) -> pb.CompleteResponse:
    return pb.CompleteResponse(text_delta=pb.TextDelta(text=text))


def refusal(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details="no")


EMPTY = pb.CompleteRequest()
IS_AB = Ask("x", EMPTY, check=lambda text: text == "ab")
LATE = Ask("x", EMPTY, refusals=frozenset({Reason.DEADLINE_EXCEEDED}))


@pytest.mark.parametrize(
    ("ask", "events", "outcome", "wrong"),
    [
        (IS_AB, [said("a"), said("b")], "OK", 0),
        (IS_AB, [said("a")], "OK", 1),
        (Ask("x", EMPTY, cancel_after=0), [said("a"), said("b")], "cancelled", 0),
        (LATE, [refusal(grpc.StatusCode.DEADLINE_EXCEEDED)], Reason.DEADLINE_EXCEEDED, 0),
        (IS_AB, [refusal(grpc.StatusCode.DEADLINE_EXCEEDED)], Reason.DEADLINE_EXCEEDED, 1),
        (IS_AB, [refusal(grpc.StatusCode.INTERNAL)], Reason.INTERNAL, 1),
        (IS_AB, [ValueError("broken")], "ValueError", 1),
    ],
)
async def test_every_request_is_counted_by_how_it_ended_and_wrong_answers_are_kept(ask, events, outcome, wrong):
    calls = Calls(*events)
    load = Load(calls, seed=1, workers=1, burst=1, burst_every=1)
    await load.ask(ask)
    assert load.outcomes == {("x", outcome): 1}
    assert (load.fault_count, len(load.faults), calls.cancelled) == (wrong, wrong, 1)


async def test_the_load_ends_in_time_and_its_requests_with_it():
    load = Load(Calls(said("a")), seed=1, workers=3, burst=2, burst_every=0.05)
    async with asyncio.timeout(5):
        await load.run(0.2)
    assert load.done > 5 and load.refused == 0
