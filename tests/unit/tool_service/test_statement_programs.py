"""Made-up programs: their statements, run one by one as they are handed over, do what a REPL does with the whole text.

The REPL parses the whole text and runs statement after statement.
"""

import ast
import contextlib
import io
import warnings
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from tests.unit.tool_service.programs import program
from tool_service.statements import StatementSplitter

FEW, MANY = 300, 10_000


def in_pieces(text: str, random: Random) -> Iterator[str]:
    """The text in random pieces, some of one character."""
    most = random.choice([1, 3, 20, 200])
    at = 0
    while at < len(text):
        size = random.randint(1, most)
        yield text[at : at + size]
        at += size


def handed_over(text: str, random: Random) -> list[str]:
    splitter = StatementSplitter()
    statements = [statement for piece in in_pieces(text, random) for statement in splitter.feed(piece)]
    return statements + splitter.close()


def outcome(statements: list[str] | list[ast.stmt]) -> tuple[str, dict[str, Any], str]:
    """What running them one by one prints, the variables it leaves, and the exception that ends it."""
    namespace: dict[str, Any] = {"__name__": "program"}
    output, failure = io.StringIO(), ""
    with contextlib.redirect_stdout(output), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for statement in statements:
                source = statement if isinstance(statement, str) else ast.Module([statement], [])
                exec(compile(source, "program", "exec", dont_inherit=True), namespace)
        except Exception as error:
            failure = repr(error)
    del namespace["__builtins__"]
    return output.getvalue(), {name: shown(value) for name, value in namespace.items()}, failure


def shown(value: Any) -> str:
    """A value without the address it may have."""
    return f"{type(value).__name__} {getattr(value, '__qualname__', repr(value))}"


def check(seed: int) -> tuple[int, bool]:
    """How many statements there were, and whether one raised."""
    text = program(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        body = ast.parse(text).body
    statements = handed_over(text, Random(seed))
    assert "".join(statements) == text, f"seed {seed}"
    expected = outcome(body)
    assert outcome(statements) == expected, f"seed {seed}:\n{text}"
    return len(statements), expected[2] != ""


def test_made_up_programs_do_what_they_do_in_a_repl() -> None:
    counts = [check(seed) for seed in range(FEW)]
    assert sum(count for count, _ in counts) > 2 * FEW
    assert FEW // 10 < sum(raised for _, raised in counts) < FEW * 95 // 100


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_many_made_up_programs_do_what_they_do_in_a_repl() -> None:
    for seed in range(MANY):
        check(seed)
