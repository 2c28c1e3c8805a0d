import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_service.tools.plan.line import LineError, Reference, fill, parse_line


@pytest.mark.parametrize(
    ("arguments", "positional", "named"),
    [
        ('"tea", site="docs"', ("tea",), {"site": "docs"}),
        ("$1, $2", (Reference(1), Reference(2)), {}),
        ("amount=$12, to='EUR'", (), {"amount": Reference(12), "to": "EUR"}),
        ("[1, -2.5, None], {'a': [true, $3]}", ([1, -2.5, None], {"a": [True, Reference(3)]}), {}),
        ('"under $20 ($1)"', ("under $20 ($1)",), {}),
        ("2024", (2024,), {}),
    ],
)
def test_literals_and_results_are_arguments(arguments, positional, named):
    line = parse_line(f"$9 = tool({arguments})\n")
    assert line is not None
    assert (line.number, line.tool, line.positional, line.named) == (9, "tool", positional, named)
    assert not line.is_plain


@pytest.mark.parametrize(
    "arguments",
    [
        "Microsoft market cap",
        "tea, coffee",
        "$1 / $2",
        "height of $1 in metres",
        'an "open quote',
        "a) and (b",
        "f(1)",
        "1 + 2j",
        "**x",
        "(" * 3000,
        "\ua66e1",
    ],
)
def test_anything_else_is_plain_text(arguments):
    line = parse_line(f"$1 = tool({arguments})")
    assert line is not None
    assert line.is_plain
    assert line.text == arguments


def test_no_arguments_are_none():
    line = parse_line("$1 = now()")
    assert line is not None
    assert (line.is_plain, line.positional, line.named) == (False, (), {})


@pytest.mark.parametrize(
    ("arguments", "needed", "mentioned"),
    [
        ("$1, [$2, {'a': $3}]", {1, 2, 3}, {1, 2, 3}),
        ("$1 revenue of $22", {1, 22}, {1, 22}),
        ("'under $20', $1", {1}, {1, 20}),
        ("'nothing'", set(), set()),
    ],
)
def test_a_line_knows_the_results_that_it_needs(arguments, needed, mentioned):
    line = parse_line(f"$30 = tool({arguments})")
    assert line is not None
    assert (line.needed, line.mentioned) == (needed, mentioned)


@pytest.mark.parametrize("text", ["", "  \n", "# a remark\n"])
def test_blank_lines_and_remarks_say_nothing(text):
    assert parse_line(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "search(tea)",
        "$1 = search",
        "$1 := search(tea)",
        "1 = search(tea)",
        "$x = search(tea)",
        "$1 = search(tea) and more",
    ],
)
def test_what_is_no_line_is_told(text):
    with pytest.raises(LineError, match=r"\$1 = tool\(arguments\)"):
        parse_line(text)


def test_a_line_has_a_limit():
    with pytest.raises(LineError, match="at most"):
        parse_line(f"$1 = search({'x' * 10_000})")


def test_text_takes_the_results_that_are_there():
    assert fill("$1 and $2 of $11", {1: "one", 11: "eleven"}) == "one and $2 of eleven"


@given(st.text(alphabet="$12=()[]{}\"'\\ ,:fx#\n\x00\ua66e", max_size=60))
def test_nothing_but_a_line_error_comes_of_any_text(text):
    try:
        line = parse_line(f"$1 = f({text})")
    except LineError:
        return
    assert line is None or line.tool == "f"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3)
    )
)
def test_a_literal_is_read_as_python_writes_it(value):
    line = parse_line(f"$1 = f({value!r})")
    if "\ua66e" in repr(value) or "\n" in repr(value):
        return
    assert line is not None
    assert line.positional == (value,)
