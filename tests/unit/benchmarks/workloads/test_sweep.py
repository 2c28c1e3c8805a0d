import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.workloads.sweep import LINES, UNITS, saving, waiting
from benchmarks.workloads.tools import PASS, WAIT


@given(st.floats(0.05, 20), st.sampled_from(UNITS))
def test_the_units_are_as_many_and_as_long_as_asked_for_and_spread_over_the_text(seconds: float, units: int):
    (text,) = waiting(seconds, units).replay
    call = json.loads(text.removeprefix("<tool_call>\n").removesuffix("\n</tool_call>"))
    lines = call["arguments"]["steps"].splitlines()
    assert len(lines) == LINES and set(lines) <= {WAIT, PASS}
    places = [place for place, line in enumerate(lines) if line == WAIT]
    assert places == list(range(LINES // units - 1, LINES, LINES // units))
    assert call["arguments"]["seconds"] * units == pytest.approx(seconds, abs=0.00006 * units)


@given(st.floats(0.01, 100), st.floats(0.01, 100))
def test_many_units_save_what_the_papers_formula_says(decode: float, tool: float):
    assert saving(decode, tool, 1) == 0
    assert saving(decode, tool, 10**6) == pytest.approx(min(decode, tool) / (decode + tool), rel=1e-5)
    assert 0 <= saving(decode, tool, 4) <= 0.5
