"""What is told of a statement that raises."""

import pytest

from tests.unit.tool_service.tools.python.interpreting import failure, printed


async def test_a_traceback_shows_the_programs_lines_and_none_of_ours(interpreter):
    await printed(interpreter, "def divide(a):\n    return a / 0\n\n")
    assert await failure(interpreter, "x = 1\ndivide(x)\n") == (
        "Traceback (most recent call last):\n"
        '  File "<python>", line 5, in <module>\n'
        "    divide(x)\n"
        '  File "<python>", line 2, in divide\n'
        "    return a / 0\n"
        "           ~~^~~\n"
        "ZeroDivisionError: division by zero\n"
    )


async def test_lines_of_the_next_program_count_from_one_and_the_first_keeps_its_source(interpreter):
    await printed(interpreter, "def divide(a):\n    return a / 0")
    interpreter.start_program()
    text = await failure(interpreter, "divide(1)")
    assert '"<python 2>", line 1' in text
    assert '"<python>", line 2, in divide\n    return a / 0' in text
    assert '"<python 2>", line 2' in await failure(interpreter, "1 / 0")


async def test_a_syntax_error_points_at_its_line(interpreter):
    await printed(interpreter, "x = 1")
    assert '"<python>", line 3\n    if x\n        ^\n' in await failure(interpreter, "y = 2\nif x\n")


@pytest.mark.parametrize(
    ("statement", "last_line"),
    [
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded"),
        ("class E(Exception):\n    def __str__(self): 1 / 0\nraise E", "E: <exception str() failed>"),
        ("raise ValueError('\\ud800')", "ValueError: \\ud800"),
        ("x = '\ud800'", "surrogates not allowed"),
        ("x = '\0'", "null bytes"),
        ("(" * 500 + ")" * 500, "too many nested parentheses"),
        ("assert False", "AssertionError"),
    ],
)
async def test_every_error_is_told_and_survived(interpreter, statement, last_line):
    assert last_line in (await failure(interpreter, statement)).rstrip().splitlines()[-1]
    assert await printed(interpreter, "print('well')") == "well\n"


async def test_a_long_traceback_is_cut_in_the_middle(interpreter):
    text = await failure(interpreter, "raise ValueError('x' * 10**7 + 'the end')")
    assert text.startswith("Traceback")
    assert text.endswith("the end\n")
    assert len(text) < 20_000
