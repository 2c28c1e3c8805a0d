"""The pace against machines made up of a few numbers."""

from collections.abc import Callable
from statistics import median

import pytest

from decoder_service.engine.pace import LEAST_CHUNK, Pace

Machine = Callable[[int, int], float]


def machine(fixed: float, sequence: float, token: float) -> Machine:
    """Seconds of a step: reading the weights, and what each decoding sequence and each token of a prompt adds."""
    return lambda decoding, prefilled: fixed + sequence * decoding + token * prefilled


def with_another_kernel_for_more_rows(decoding: int, prefilled: int) -> float:
    return 0.030 + 0.0004 * (decoding + prefilled) if decoding + prefilled > 4 else 0.018 + 0.002 * decoding


MACHINES = {
    "small model": machine(0.020, 0.0012, 0.0005),
    "larger model": machine(0.080, 0.008, 0.005),
    "GPU": machine(0.004, 0.00002, 0.000005),
    "two kernels": with_another_kernel_for_more_rows,
}


def run_prompt(pace: Pace, seconds: Machine, decoding: int, tokens: int) -> list[tuple[int, float]]:
    """Runs a prompt beside sequences that decode; gives each step's tokens of it and seconds."""
    steps = []
    while tokens:
        chunk = min(tokens, pace.chunk(decoding))
        steps.append((chunk, seconds(decoding, chunk)))
        pace.observe(decoding, *steps[-1])
        tokens -= chunk
    return steps


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("decoding", [4, 8, 16, 32])
def test_a_prompt_that_joins_lengthens_no_step_to_twice_the_usual(name: str, decoding: int) -> None:
    pace, seconds = Pace(512), MACHINES[name]
    run_prompt(pace, seconds, 0, 64 * decoding)
    for _ in range(20):
        pace.observe(decoding, 0, seconds(decoding, 0))
    steps = run_prompt(pace, seconds, decoding, 2000)
    usual = seconds(decoding, 0)
    assert max(took for _, took in steps) <= 1.8 * usual
    full = [took for chunk, took in steps[8:-1] if 0 < chunk < 512]
    assert not full or median(full) >= 1.45 * usual  # and makes use of what it may


def test_a_yardstick_is_taken_where_there_is_none() -> None:
    pace, seconds = Pace(512), MACHINES["small model"]
    run_prompt(pace, seconds, 0, 500)
    steps = run_prompt(pace, seconds, 8, 2000)
    assert [chunk for chunk, _ in steps[:2]] == [0, LEAST_CHUNK]
    assert max(took for _, took in steps) <= 1.8 * seconds(8, 0)


def test_a_yardstick_grows_old() -> None:
    pace = Pace(512)
    pace.observe(8, 0, 0.03)
    chunks = [pace.chunk(8) for _ in range(200)]
    assert 1 <= chunks.count(0) <= 4
    assert all(chunk for chunk, before in zip(chunks[1:], chunks, strict=False) if not before)


def test_a_step_that_somebody_else_slowed_down_changes_nothing_and_many_do_while_they_last() -> None:
    pace, seconds = Pace(512), MACHINES["small model"]
    pace.observe(8, 0, seconds(8, 0))
    before = run_prompt(pace, seconds, 8, 500)[-2][0]
    pace.observe(8, before, 10 * seconds(8, before))
    assert pace.chunk(8) >= 0.9 * before
    for _ in range(2):
        pace.observe(8, before, 10 * seconds(8, before))
    assert pace.chunk(8) < before / 2
    assert run_prompt(pace, seconds, 8, 700)[-2][0] > 0.9 * before


def test_few_that_decode_leave_a_prompt_the_rows_that_a_product_takes_at_once() -> None:
    pace = Pace(512)
    for decoding in (1, 4, 8, 20):
        pace.observe(decoding, 0, 0.01)
    pace.observe(8, LEAST_CHUNK, 1.0)  # dear
    assert [pace.chunk(decoding) for decoding in (1, 4, 8, 20)] == [11, 8, 4, 4]


def test_the_least_may_be_more() -> None:
    pace = Pace(512, least=32)
    pace.observe(8, 0, 0.085)
    pace.observe(8, 32, 0.2)
    assert pace.chunk(8) == 32


def test_with_nobody_decoding_a_chunk_takes_about_a_tenth_of_a_second() -> None:
    pace, seconds = Pace(512), MACHINES["small model"]
    steps = run_prompt(pace, seconds, 0, 3000)
    assert max(took for _, took in steps) <= 0.1
    assert median(took for _, took in steps[2:-1]) >= 0.07


def test_a_slow_machine_runs_the_least_chunk() -> None:
    pace = Pace(512)
    for _ in range(5):
        pace.observe(0, pace.chunk(0), 1.0)
    assert pace.chunk(0) == LEAST_CHUNK


def test_a_fast_machine_runs_the_largest_chunk() -> None:
    pace = Pace(512)
    for _ in range(5):
        pace.observe(0, pace.chunk(0), 0.0)
    assert pace.chunk(0) == 512


def test_the_setting_is_the_most_and_may_be_less_than_the_least() -> None:
    pace = Pace(3)
    assert pace.chunk(0) == 3
    pace.observe(8, 0, 1.0)
    pace.observe(0, 3, 5.0)
    pace.observe(8, 3, 5.0)
    assert (pace.chunk(0), pace.chunk(8)) == (3, 3)


def test_without_times_a_step_takes_the_least_chunk() -> None:
    pace = Pace(512)
    assert [pace.chunk(8) for _ in range(3)] == [0, LEAST_CHUNK, LEAST_CHUNK]
