import ast
import sys
from collections.abc import Iterable, Iterator
from itertools import pairwise
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tool_service.statements import StatementSplitter


def split(*pieces: str) -> list[str]:
    splitter = StatementSplitter()
    statements = [statement for piece in pieces for statement in splitter.feed(piece)]
    return statements + splitter.close()


def fed(text: str) -> list[str]:
    """What is handed over before the end is known."""
    return StatementSplitter().feed(text)


def cuts(text: str) -> Iterator[list[str]]:
    yield list(text)
    for at in range(1, len(text)):
        yield [text[:at], text[at:]]


def pieces_at(text: str, places: Iterable[int]) -> list[str]:
    at = sorted(place % (len(text) + 1) for place in places)
    return [text[start:end] for start, end in pairwise([0, *at, len(text)])]


SIMPLE = [
    "x = 1\n",
    "x = 1; y = 2  # both\n",
    "print('a # b', \"it's\")\n",
    "f(\n  1,\n\n# in brackets\n2)\n",
    "d = {'a': [1,\n(2)],\n}\n",
    "total = 1 + \\\n    2\n",
    "s = 'a\\\n  b'\n",
    's = "\\"quoted\\"\\\\"\n',
    "s = '''a''b'c\n'''\n",
    "s = ''\n",
    's = ""\n',
    "s = '''\nif x:\n    pass\n\ndef f():\n'''\n",
    's = """a \'\'\' " "" \\""" b\nelse:\n"""\n',
    "s = rb'\\'' + r'''\\'a''' f'' \"\"\"\"\"\"\n",
    "s = f\"{f'{x!r:>{10}}'} {{}} {x:%Y}\"\n",
    's = f"""{\n  f(\'x\')\n}"""\n',
    "f = lambda: 0\n",
    "part = d[1:]\n",
    "y: int = 3\n",
    "match = {'case': 1}\n",
    "elsewhere = iffy = classes = 1\n",
    "große = 'ß😀'\n",
    "assert x, 'why'\n",
    '"""A docstring."""\n',
    "del x\n",
]
NESTED = [  # PEP 701 and 750, which not every Python that runs these tests reads
    "s = f'{a:%Y}'\n",
    "s = f'{'a'}' + f'{f'{b}'}' + f'{'#'}'\n",
    "s = f'{a # ')\n  }'\n",
    "s = rf'\\{a}{{' f'\\N{LEFT CURLY BRACKET}' F'\\'{d['(']:{'>'}{5}}\\''\n",
    's = f"""{"""}"""}\n{a:\n}"""\n',
    "s = t'{'a'}'\n",
    "s = leaf'x' or f''\n",
]
COMPOUND = [
    "if x:\n    pass\n",
    "if x: pass\nelse: pass\n",
    "if x:\n    a = 1\n\n# why\nelif y:  # then\n\n    # inside\n    b = 2\n# otherwise\n\nelse:\n    c = 3\n",
    "try:\n    f()\nexcept (A, B) as e:\n    g()\nexcept:\n\n    raise\nelse:\n    h()\nfinally:\n    i()\n",
    "for i in range(3): print(i)\n",
    "for i in x:\n\n    if i:\n        break\n    else:\n        continue\nelse:\n    done()\n",
    "while True:\n    s = '''\ncolumn 0\n'''\n    break\n",
    "with open(a) as f, \\\n     open(b) as g:\n    f.read()\n",
    "def f(a: int = 1, *,\n      b: str) -> None:\n    '''Says.\n\nx = 1\n'''\n\n    return (a,\nb)\n",
    "class A(B):\n    x = 1\n\n    y: int\n\n    # comment\n\n    def f(self):\n        pass\n\n\n"
    "    @property\n    def g(self): return 1\n",
    "@decorate\n@also(1,\n2)\n# between\n\ndef f():\n    pass\n",
    "@dataclass\nclass A:\n    x: int\n",
    "async def f():\n    async with a:\n        await b\n    async for c in d:\n        pass\n",
    "match x:\n    case 1:\n        pass\n    case [a, *_]:\n        pass\n    case _:\n        pass\n",
    "match (x, y):\n    case _: pass\n",
    "if x:\n\tpass\n",
    "if (a and\nb):\n    pass\n",
]
GAPS = ["", "", "\n", "   \n\n", "# a comment\n", "\n# if x:\n#else\n\n", "    # indented\n"]

programs = st.lists(st.tuples(st.sampled_from(GAPS), st.sampled_from(SIMPLE + COMPOUND)), max_size=6)
rubble = st.lists(
    st.sampled_from(
        ["if", "else", "elif x:", "x", ":", "\n", "  ", "#", "'", '"', "'''", '"""', "\\", "(", ")", "@", "\r", "é"]
    ),
    max_size=25,
).map("".join)


def statements_of(program: list[tuple[str, str]]) -> list[str]:
    return [statement for _, statement in program]


def text_of(program: list[tuple[str, str]]) -> str:
    return "".join(gap + statement for gap, statement in program)


@pytest.mark.parametrize("statement", SIMPLE + NESTED)
def test_a_simple_statement_is_handed_over_with_its_newline(statement: str) -> None:
    assert fed(statement) == [statement]
    assert fed(statement[:-1]) == []
    for pieces in cuts(statement + "next"):
        assert split(*pieces) == [statement, "next"]


@pytest.mark.parametrize("statement", COMPOUND)
def test_a_compound_statement_is_handed_over_when_the_next_one_begins(statement: str) -> None:
    assert fed(statement) == []
    assert fed(f"{statement}\n# comment\n  \n") == []
    assert fed(f"{statement}x") == [statement]
    for pieces in cuts(f"{statement}\nx = 1\n"):
        assert split(*pieces) == [f"{statement}\n", "x = 1\n"]


@pytest.mark.parametrize("word", ["else", "elif", "except", "finally"])
def test_a_clause_goes_on_with_the_statement_and_a_longer_word_does_not(word: str) -> None:
    splitter = StatementSplitter()
    assert splitter.feed("if x:\n    pass\n") == []
    assert splitter.feed(word[:-1]) == []
    assert splitter.feed(word[-1]) == []
    assert splitter.feed(f"_{word} = 1") == ["if x:\n    pass\n"]
    assert splitter.close() == [f"{word}_{word} = 1"]


def test_the_first_letter_that_fits_no_clause_is_enough() -> None:
    splitter = StatementSplitter()
    splitter.feed("for i in x:\n    print(i)\n")
    assert splitter.feed("p") == ["for i in x:\n    print(i)\n"]
    assert splitter.feed("rint()\n") == ["print()\n"]


def test_a_word_that_the_end_cuts_off_is_a_statement_of_its_own() -> None:
    assert split("if x:\n    y\nels") == ["if x:\n    y\n", "els"]
    assert split("if x:\n    y\nelse") == ["if x:\n    y\nelse"]


def test_a_keyword_right_behind_a_handed_over_block_still_opens_one() -> None:
    for pieces in cuts("if x:\n    y\nif z:\n    w\n"):
        assert split(*pieces) == ["if x:\n    y\n", "if z:\n    w\n"]


def test_blank_lines_and_comments_stick_to_a_neighbour() -> None:
    assert split("# top\n\nx = 1\n\n# y\ny = 2\n# end\n") == ["# top\n\nx = 1\n", "\n# y\ny = 2\n", "# end\n"]
    assert split("\n  \n") == ["\n  \n"]
    assert split("") == []
    assert split("", "") == []


def test_a_decorator_waits_for_what_it_decorates() -> None:
    assert fed("@a\n@b\n") == []
    assert fed("@a\nx = 1\n") == []
    assert fed("@a\ndef f(): pass\n@b\n") == ["@a\ndef f(): pass\n"]


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("x = 'open\ny = 1\n", ["x = 'open\n", "y = 1\n"]),
        ("x = (1\ny = 2\n", ["x = (1\ny = 2\n"]),
        ("x = 1)\ny = 2\n", ["x = 1)\n", "y = 2\n"]),
        ("  x = 1\ny = 2\n", ["  x = 1\n", "y = 2\n"]),
        ("else:\n  x\ny\n", ["else:\n  x\n", "y\n"]),
        ("foo bar:\n  x\ny\n", ["foo bar:\n  x\n", "y\n"]),
        ("x = '''\nopen", ["x = '''\nopen"]),
        ("\\", ["\\"]),
        ("x = \\ 1\ny\n", ["x = \\ 1\n", "y\n"]),
    ],
)
def test_broken_code_is_handed_over_all_the_same(text: str, statements: list[str]) -> None:
    for pieces in cuts(text):
        assert split(*pieces) == statements


MARGINS = [
    ("if x:\n  y\n\\\nelse:\n  z\nw", ["if x:\n  y\n\\\nelse:\n  z\n", "w"]),
    ("if x:\n  y\n\\\nz = 1\n", ["if x:\n  y\n", "\\\nz = 1\n"]),
    ("if x:\n  y\n  \\\nz = 1\nw", ["if x:\n  y\n  \\\nz = 1\n", "w"]),
    ("if x:\n  y\n  \fz = 1\n", ["if x:\n  y\n  \f", "z = 1\n"]),
    ("if x:\n  y\n\f  z = 1\nw", ["if x:\n  y\n\f  z = 1\n", "w"]),
]


@pytest.mark.parametrize(("text", "statements"), MARGINS)
def test_margins_with_backslashes_and_form_feeds(text: str, statements: list[str]) -> None:
    for pieces in cuts(text):
        assert split(*pieces) == statements


def test_a_lone_carriage_return_ends_a_line() -> None:
    text = "x = 1\ry = 2\r# it's\rz = '''\r'''\rif x:\r  y\rw = 1\r\nv\r"
    for pieces in cuts(text):
        assert split(*pieces) == ["x = 1\r", "y = 2\r", "# it's\rz = '''\r'''\r", "if x:\r  y\r", "w = 1\r\n", "v\r"]


def test_windows_line_ends_are_white_space() -> None:
    text = "x = 1\r\nif x:\r\n    y = 'a\\\r\nb' + \\\r\n  c\r\n\r\nelse:\r\n    z\r\nw\r\n"
    block = text.removeprefix("x = 1\r\n").removesuffix("w\r\n")
    for pieces in cuts(text):
        assert split(*pieces) == ["x = 1\r\n", block, "w\r\n"]


@given(program=programs)
@settings(max_examples=200, deadline=None)
def test_a_program_is_cut_into_its_statements_and_each_parses(program: list[tuple[str, str]]) -> None:
    text = text_of(program)
    ast.parse(text)
    handed_over = split(text)
    assert "".join(handed_over) == text
    bodies = [ast.parse(statement).body for statement in handed_over]
    assert sum(map(len, bodies)) == len(ast.parse(text).body)
    assert len([body for body in bodies if body]) == len(program)


@given(program=programs, places=st.lists(st.integers(0, 10_000), max_size=10))
@settings(max_examples=200, deadline=None)
def test_statements_do_not_depend_on_the_cut(program: list[tuple[str, str]], places: list[int]) -> None:
    text = text_of(program)
    assert split(*text) == split(*pieces_at(text, places)) == split(text)


@given(text=rubble | st.text(max_size=40), places=st.lists(st.integers(0, 10_000), max_size=5))
@settings(max_examples=200, deadline=None)
def test_any_text_is_handed_over_whole_whatever_the_cut(text: str, places: list[int]) -> None:
    statements = split(text)
    assert "".join(statements) == text
    assert "" not in statements
    assert split(*text) == split(*pieces_at(text, places)) == statements


@given(program=programs.filter(bool), data=st.data())
@settings(max_examples=200, deadline=None)
def test_a_statement_is_never_handed_over_before_it_is_complete(
    program: list[tuple[str, str]], data: st.DataObject
) -> None:
    text = text_of(program)
    early = fed(text[: data.draw(st.integers(0, len(text)))])
    assert early == split(text)[: len(early)]


def work(text: str) -> int:
    count = 0

    def counted(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(counted)
    try:
        split(*text)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    "unit", ["x = 1\n", "if x:\n  y\n", "(", "'", '"""', "\n", "# c\n", "@a\n", "\\\n", "e", "if x:\n\nels"]
)
def test_work_is_proportional_to_the_text(unit: str) -> None:
    assert work(unit * (8_000 // len(unit))) < 4.4 * work(unit * (2_000 // len(unit)))


def test_a_long_string_in_single_characters_is_read() -> None:
    text = "x = '''" + "if x:\n" * 20_000 + "'''\n"
    assert split(*text) == [text]
