"""What a statement sees and leaves, and its value."""

import asyncio
from contextlib import aclosing

import pytest

from tests.interpreters import opened
from tests.unit.tool_service.tools.python.interpreting import (
    failure,
    folder_of,
    printed,
)
from tool_service.tools.python.interpreter import (
    InterpreterDied,
    InterpreterLimits,
    StatementFailed,
)


async def test_variables_functions_and_imports_last(interpreter):
    await printed(interpreter, "import math\nx = 20")
    await printed(interpreter, "def twice(y):\n    return 2 * y\n")
    assert await printed(interpreter, "print(twice(x) + math.floor(2.5))") == "42\n"


async def test_the_namespace_is_main(interpreter):
    assert await printed(interpreter, "import __main__, pickle\nclass A: pass\n") == ""
    assert await printed(
        interpreter, "print(__name__, __main__.A is A, type(pickle.loads(pickle.dumps(A()))) is A)"
    ) == ("__main__ True True\n")


async def test_interpreters_do_not_see_each_other(interpreter):
    async with aclosing(await opened()) as other:
        await asyncio.gather(printed(interpreter, "x = 1"), printed(other, "y = 2"))
        assert "NameError: name 'x' is not defined" in await failure(other, "x")
        assert await folder_of(other) != await folder_of(interpreter)


async def test_future_imports_hold_for_later_statements_of_the_program(interpreter):
    await printed(interpreter, "from __future__ import annotations")
    await printed(interpreter, "def f(a: undefined): pass")
    interpreter.start_program()
    assert "NameError" in await failure(interpreter, "def f(a: undefined): pass")


async def test_standard_input_is_empty(interpreter):
    assert "EOFError" in await failure(interpreter, "input()")


async def test_the_environment_is_bare(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    async with aclosing(await opened()) as interpreter:
        seen = await printed(interpreter, "import os, subprocess; print(dict(os.environ))")
        seen += await printed(interpreter, "_ = subprocess.run(['env'])")
        assert "hunter2" not in seen
        assert await printed(interpreter, "print(os.listdir('.'), os.listdir(os.path.expanduser('~')))") == "[] []\n"
        assert await printed(interpreter, "import sys; print(sys.argv)") == "['']\n"


async def test_modules_written_by_a_statement_can_be_imported(interpreter):
    await printed(interpreter, "open('mine.py', 'w').write('x = 7')")
    assert await printed(interpreter, "import mine; print(mine.x)") == "7\n"


async def test_our_own_modules_are_out_of_the_way(interpreter):
    for name in ("frames", "confinement", "child", "zygote", "landlock", "kernel"):
        assert "ModuleNotFoundError" in await failure(interpreter, f"import {name}")
    for name in ("tool_service", "protos"):  # where they are installed so as to be found, they cannot be read
        text = await failure(interpreter, f"import {name}")
        assert "ModuleNotFoundError" in text or "PermissionError" in text


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("6 * 7", "42"),
        ("a = 1\n'text'", "'text'"),
        ("a = 1", ""),
        ("None", ""),
        ("print('x')", ""),
        ("", "'before'"),
        ("# comment", "'before'"),
        ("if True:\n    1\n", ""),
    ],
)
async def test_the_last_expressions_value_is_kept(interpreter, statement, shown):
    await printed(interpreter, "'before'")
    await printed(interpreter, statement)
    assert await interpreter.last_value() == shown


async def test_a_failed_statement_has_no_value(interpreter):
    await printed(interpreter, "1")
    await failure(interpreter, "1 / 0")
    assert await interpreter.last_value() == ""


async def test_a_program_of_which_nothing_has_run_has_no_value(interpreter):
    await printed(interpreter, "'of the program before'")
    interpreter.start_program()
    assert await interpreter.last_value() == ""


async def test_a_repr_that_raises_is_a_failed_statement(interpreter):
    await printed(interpreter, "class A:\n    def __repr__(self): raise ValueError('no repr')\nA()")
    with pytest.raises(StatementFailed, match="no repr"):
        await interpreter.last_value()
    assert await printed(interpreter, "print('well')") == "well\n"


async def test_a_repr_that_ends_the_process_is_a_death(interpreter):
    await printed(interpreter, "class A:\n    def __repr__(self): raise SystemExit(4)\nA()")
    with pytest.raises(InterpreterDied, match="status 4"):
        await interpreter.last_value()


async def test_a_repr_that_prints_or_is_long_is_cut():
    async with aclosing(await opened(InterpreterLimits(value_chars=100))) as interpreter:
        await printed(interpreter, "class A:\n    def __repr__(self): print('p' * 10**6); return 'r' * 10**6\nA()")
        value = await interpreter.last_value()
        assert "value cut: 1000000 characters" in value
        assert len(value) < 200
        assert await printed(interpreter, "print('next')") == "next\n"
