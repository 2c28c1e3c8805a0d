"""Scripts are cut at the same places as the databases' own tools cut them, however their text arrives."""

import random
import re
import sqlite3
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.workloads.world.postgres import binaries
from tool_service.tools.sql.splitter import Dialect, SqlSplitter, split, words

SQLITE, POSTGRES = Dialect.SQLITE, Dialect.POSTGRES

TOKENS = [
    *(
        "CREATE",
        "temp",
        "TEMPORARY",
        "TRIGGER",
        "BEGIN",
        "END",
        "EXPLAIN",
        "SELECT",
        "CASE",
        "FUNCTION",
        "OR",
        "REPLACE",
    ),
    *(
        ";",
        ";",
        ";",
        " ",
        "\n",
        "\r",
        "'",
        '"',
        "`",
        "[",
        "]",
        "(",
        ")",
        "-",
        "--",
        "/",
        "/*",
        "*/",
        "*",
        "\\",
        "é",
        "1",
        "x",
    ),
    *("$", "$$", "$a$", "$1", "E'", "e'a\\''", "''", "a''b", "E", "_e", ",", ".", "\f", "\v", "\u00a0", "ident$"),
]
SCRIPTS = st.lists(st.sampled_from(TOKENS), max_size=40).map("".join)
DIALECTS = st.sampled_from(Dialect)


def fed(dialect: Dialect, *pieces: str) -> list[str]:
    """What is handed over before the end is known."""
    splitter = SqlSplitter(dialect)
    return [statement for piece in pieces for statement in splitter.feed(piece)]


@given(DIALECTS, SCRIPTS, st.lists(st.integers(0, 200), max_size=6))
@settings(max_examples=500, deadline=None)
def test_every_cut_of_the_text_gives_the_same_statements(dialect: Dialect, script: str, places: list[int]) -> None:
    whole = split(script, dialect)
    at = sorted(place % (len(script) + 1) for place in places)
    for pieces in (list(script), [script[a:b] for a, b in pairwise([0, *at, len(script)])]):
        splitter = SqlSplitter(dialect)
        assert [s for piece in pieces for s in splitter.feed(piece)] + splitter.close() == whole
    assert "".join(whole) == script


@given(SCRIPTS)
@settings(max_examples=1000, deadline=None)
def test_a_statement_of_sqlite_ends_where_sqlite_says_that_it_is_complete(script: str) -> None:
    handed_over = fed(SQLITE, script)
    for statement in handed_over:
        ends = [i for i in range(1, len(statement) + 1) if sqlite3.complete_statement(statement[:i])]
        assert ends == [len(statement)]
    rest = script[len("".join(handed_over)) :]
    assert not any(sqlite3.complete_statement(rest[:i]) for i in range(1, len(rest) + 1))


def test_nothing_but_a_semicolon_ends_a_statement_before_the_end() -> None:
    splitter = SqlSplitter(SQLITE)
    assert splitter.feed("DELETE FROM t") == []
    assert splitter.feed(" WHERE a = 1") == []
    assert splitter.feed(";\nSELECT 1") == ["DELETE FROM t WHERE a = 1;"]
    assert splitter.close() == ["\nSELECT 1"]


ONE_EACH = [
    "SELECT ';';",
    'SELECT ";";',
    "SELECT 'it''s;';",
    "-- a ; b\nSELECT 1;",
    "/* a ; b */ SELECT 1;",
    "SELECT 1 - 2 / 3;",
    "SELECT '\n;\n';",
    ";",
]
ONE_OF_SQLITE = [
    "SELECT [a;b], `c;d`;",
    r"SELECT '\';",
    "SELECT '/* ' /* ' ; */;",
    "/* /* ; */;",
    "CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE b SET c = 1; DELETE FROM d; END;",
    "EXPLAIN CREATE TEMP TRIGGER t AFTER INSERT ON a BEGIN SELECT CASE 1 WHEN 1 THEN 2 END; END ;",
    "create table trigger_log (a);",
]
ONE_OF_POSTGRES = [
    "SELECT $$;$$;",
    "SELECT $a$;$$;$b$;$a$;",
    "SELECT $a$;$a;$ab$;$a$;",
    "SELECT $é$;$é$;",
    "SELECT $1, $2;",
    r"SELECT E'\';';",
    r"SELECT e'a''b\';';",
    "SELECT E'a' -- more\n 'b\\';';",
    r"SELECT '\';",
    r"SELECT U&'\';",
    r"SELECT typee'\';",
    "SELECT a$$b;",
    "/* /* ; */ ; */ SELECT 1;",
    "/*/ ; */;",
    "/* **/;",
    "CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM a; DELETE FROM b);",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; END;",
    "create or replace procedure p() BEGIN ATOMIC INSERT INTO t VALUES (1); END;",
    "CREATE FUNCTION f() RETURNS int AS 'SELECT 1; SELECT 2' LANGUAGE sql;",
    "BEGIN;",
    "END;",
]


@pytest.mark.parametrize(
    ("dialect", "statement"),
    [
        *((dialect, statement) for dialect in Dialect for statement in ONE_EACH),
        *((SQLITE, statement) for statement in ONE_OF_SQLITE),
        *((POSTGRES, statement) for statement in ONE_OF_POSTGRES),
    ],
)
def test_a_semicolon_inside_of_a_statement_does_not_end_it(dialect: Dialect, statement: str) -> None:
    assert fed(dialect, statement) == [statement]
    assert fed(dialect, *statement) == [statement]
    assert fed(dialect, f"{statement}{statement} SELECT") == [statement, statement]


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("hard", ["a", "$", "$a", "(", "'", "/*", "--\n", "- ", "E'a'\n", "'a'", "$$ $", "end ", "é"])
def test_the_work_is_proportional_to_the_text(dialect: Dialect, hard: str) -> None:
    assert calls(dialect, hard * 20_000) < 11 * calls(dialect, hard * 2_000)
    # What calls do not show, as text that is copied again; the best of three is what it takes when undisturbed.
    assert cpu_seconds(dialect, hard * 20_000) < 20 * cpu_seconds(dialect, hard * 2_000) + 0.2


def read(dialect: Dialect, text: str) -> None:
    splitter = SqlSplitter(dialect)
    for character in text:
        splitter.feed(character)
    splitter.close()


def calls(dialect: Dialect, text: str) -> int:
    """How many functions are called to read a text."""
    count = 0

    def counted(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        read(dialect, text)
    finally:
        sys.setprofile(None)
    return count


def cpu_seconds(dialect: Dialect, text: str) -> float:
    taken = []
    for _ in range(3):
        began = time.thread_time()
        read(dialect, text)
        taken.append(time.thread_time() - began)
    return min(taken)


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=[pytest.mark.slow, pytest.mark.timeout(300)])])
def test_a_statement_of_postgres_ends_where_psql_sends_it(postgres_server: str, tmp_path: Path, count: int) -> None:
    rng = random.Random(count)
    for _ in range(count):
        script = "".join(rng.choices(PSQL_TOKENS, k=rng.randint(3, 30)))
        ours = [comparable(statement) for statement in fed(POSTGRES, script)]
        theirs = [comparable(statement) for statement in sent_by_psql(postgres_server, script, tmp_path / "log")]
        assert theirs[: len(ours)] == ours, script
        assert len(theirs) <= len(ours) + 1, script  # psql sends the rest, too


PSQL_TOKENS = [token for token in TOKENS if not set(token) & set("`[]\\\v\f\u00a0")] + [
    "PROCEDURE ",
    "BEGIN ",
    "E'a''b'",
]
LOGGED = re.compile(r"(?:\*{9}|/\*{8}) QUERY \*{9,10}/?\n(.*?)\n(?:\*{26}|/\*{24}/)\n\n", re.DOTALL)


def sent_by_psql(address: str, script: str, log: Path) -> list[str]:
    log.write_text("")
    command = [binaries() / "psql", "-X", "-q", "-o", "/dev/null", "-L", log, address, "-f", "-"]
    subprocess.run(command, input=script.encode(), check=False, capture_output=True, timeout=20)
    return LOGGED.findall(log.read_bytes().decode())


def comparable(statement: str) -> str:
    """Without white space and what psql leaves away: comments in front."""
    return re.sub(r"\s", "", re.sub(r"\A(\s*--[^\n\r]*[\n\r])+", "", statement))


def test_words_are_those_outside_of_quotes_and_comments() -> None:
    assert words("/* a */ SELECT \"b\", 'c', d1 FROM $$e$$ -- f") == ["select", "d1", "from"]
    assert words("x" * 100) == ["x" * 64]
