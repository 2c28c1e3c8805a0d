import pytest
import typer

from gateway.cli.tool_call import rate, saved_line


@pytest.mark.parametrize("value", [None, 0.1, 30.0, 10_000.0])
def test_rates_of_models_are_taken(value):
    assert rate(value) == value


@pytest.mark.parametrize("value", [0.0, -1.0, 0.09, 10_001.0, float("nan"), float("inf")])
def test_other_rates_are_refused_with_the_range(value):
    with pytest.raises(typer.BadParameter, match=r"is not in the range from 0\.1 to 10000"):
        rate(value)


def test_what_was_saved_in_a_sentence():
    assert saved_line(4.0, 3.0) == "partial took 3.00 s instead of 4.00 s: 1.00 s or 25% saved"
    assert saved_line(1.0, 1.0) == saved_line(1.0, 0.999) == "partial took 1.00 s, serial 1.00 s: nothing saved"
    assert saved_line(1.0, 1.2).endswith("nothing saved")
