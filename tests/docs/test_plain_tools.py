"""How many lines the partial tool differs in from the ordinary function, counted for the table in docs/tools.md.

To add a tool: its plain variant in examples/plain/NAME.py, with a function NAME as in tool_service/tools/NAME/tool.py,
its name in `PAPER`, and its row in the table.
"""

import ast
from difflib import SequenceMatcher
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOST = 3

PAPER = {  # our tools, and what the paper calls them
    "python": "CodeGen",
    "search": "Search",
    "plan": "Planning",
    "local_news": "Validation",
    "sql": "Database",
    "calculator": "Calculator",
}
INPUTS = {"Arg", "Stream", "Call", "Session"}


def function(path: Path, name: str) -> ast.FunctionDef | ast.AsyncFunctionDef:
    """The function of a name, wherever in the file it stands, without its docstring."""
    found = [
        node
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
    ]
    assert len(found) == 1, f"{path} has {len(found)} functions {name}"
    if ast.get_docstring(found[0]):
        del found[0].body[0]
    return found[0]


def lines(node: ast.AST) -> list[str]:
    """Its source in one normal form: no comments, no indentation, a statement a line, the head in one."""
    return [line.strip() for line in ast.unparse(node).splitlines()]


def differing(plain: list[str], partial: list[str]) -> int:
    """Lines to change, add or take away to make the one of the other."""
    steps = SequenceMatcher(None, plain, partial, autojunk=False).get_opcodes()
    return sum(max(a2 - a1, b2 - b1) for step, a1, a2, b1, b2 in steps if step != "equal")


def counted(name: str) -> int:
    """The difference of a tool from its plain variant; a tool that takes no inputs early is its own."""
    partial = function(ROOT / "tool_service" / "tools" / name / "tool.py", name)
    path = ROOT / "examples" / "plain" / f"{name}.py"
    if not path.exists():
        used = {node.id for node in ast.walk(partial.args) if isinstance(node, ast.Name)}
        assert not used & INPUTS, f"{name} needs a plain variant, {path}"
        return 0
    return differing(lines(function(path, name)), lines(partial))


def rows() -> list[list[str]]:
    _, _, after = (ROOT / "docs" / "tools.md").read_text("utf-8").partition("<!-- plain -->\n\n")
    table = after.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in table]


def test_the_table_says_what_the_code_says() -> None:
    assert rows() == [[name, paper, str(counted(name))] for name, paper in PAPER.items()]


@pytest.mark.parametrize("name", PAPER)
def test_a_partial_tool_differs_in_three_lines_at_most(name: str) -> None:
    assert counted(name) <= MOST


def test_every_plain_variant_is_in_the_table() -> None:
    assert {path.stem for path in (ROOT / "examples" / "plain").glob("*.py")} <= PAPER.keys()


@pytest.mark.parametrize(
    ("partial", "count"),
    [
        ("def f(a):\n    x = a\n    return x", 0),
        ("async def f(a):\n    x = a\n    return x", 1),
        ("async def f(a):\n    x = await a\n    return x", 2),
        ("async def f(a):\n    x = await a\n    y = x\n    return y", 4),
        ("def f(a):\n    return x", 1),
    ],
)
def test_lines_are_counted_by_the_longer_side_of_each_difference(partial: str, count: int) -> None:
    assert differing("def f(a):\n    x = a\n    return x".splitlines(), partial.splitlines()) == count
