import argparse

import pytest

from benchmarks.gateway import Run, _parts
from benchmarks.passing.idle import Idle
from benchmarks.passing.leaving import Leaving
from benchmarks.passing.streams import Heard, Way


def test_the_first_delay_has_the_way_in_and_the_later_ones_have_not() -> None:
    heard = Heard(request_id="r", asked=10.0, decoded=[0.5, 0.6], came=[10.8, 10.85])
    assert list(heard.delays(began=10.1)) == pytest.approx([0.3, 0.15])


def way(first: float, later: float) -> Way:
    return Way([first / 1e3] * 3, [later / 1e3] * 3)


def test_what_the_gateway_adds_is_the_difference_of_medians_and_too_much_of_it_is_a_miss() -> None:
    run = Run(streams={"straight": way(2.0, 1.0), "gRPC": way(5.0, 1.9), "HTTP": way(5.1, 2.1)})
    assert run.added("gRPC", "first") == pytest.approx(3.0)
    assert run.added("HTTP", "later") == pytest.approx(1.1)
    assert [miss.split(" ")[0] for miss in run.misses()] == ["HTTP", "HTTP"]


def test_too_much_memory_and_too_long_a_way_to_free_are_misses() -> None:
    run = Run(
        idle={"gRPC": Idle(500, 70 * 10**6, 200 * 10**6), "HTTP": Idle(500, 70 * 10**6, 201 * 10**6)},
        leaving={"gRPC": Leaving([0.05], [0.01]), "HTTP": Leaving([0.01], [0.051])},
    )
    memory, tools = run.misses()
    assert memory.startswith("500 idle streams over HTTP: 201 MB") and tools.startswith("leaving over HTTP: tools_p50")
    assert run.idle["gRPC"].as_json()["grown_bytes"] == 130 * 10**6


def test_parts_are_named() -> None:
    assert _parts("idle,streams") == ("idle", "streams")
    with pytest.raises(argparse.ArgumentTypeError, match="no part 'x'"):
        _parts("idle,x")
