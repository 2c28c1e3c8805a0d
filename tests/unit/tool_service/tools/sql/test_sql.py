"""What a script may do, what comes back, and how it is held in: alike on SQLite and PostgreSQL."""

import asyncio
import os
import signal
import time
from pathlib import Path

import psycopg
import pytest

from examples.plain.sql import plain_sql
from tests.processes import children, is_running, until, with_open
from tests.unit.tool_service.tools.sql.completions import BOUND, Completion, opened, written
from tests.unit.tool_service.tools.sql.conftest import Store
from tool_service.execution import events as ev
from tool_service.execution.runner import Mode
from tool_service.interface import Effect, Reject
from tool_service.tools.sql.database import DatabaseSettingError
from tool_service.tools.sql.settings import SqlSettings
from tool_service.tools.sql.splitter import split
from tool_service.tools.sql.sqlite import Spare
from tool_service.tools.sql.tool import partial_sql, sql_tools

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT {} FROM c;"
MILLIONS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 10000000) SELECT x FROM c;"


async def run(store: Store, script: str, **changes: object) -> str:
    """What a whole script gives."""
    async with asyncio.timeout(BOUND):
        return "".join([text async for text in plain_sql(store.open(**changes))(script)])


async def refused(store: Store, script: str, **changes: object) -> str:
    with pytest.raises(Reject) as raised:
        await run(store, script, **changes)
    return str(raised.value)


async def test_rows_come_back_with_names_and_nulls_and_quotes_only_where_they_are_needed(store: Store) -> None:
    assert await run(store, "SELECT * FROM cities ORDER BY id;") == (
        'id,name,area\n1,berlin,891.5\n2,bonn,NULL\n3,"ulm, an der donau",118.5\n'
    )


async def test_texts_that_look_like_something_else_are_quoted(store: Store) -> None:
    assert await run(store, "SELECT 'NULL' a, '' b, '12' c, 'true' d, ' x' e, 'a\"b' f, 'x''00''' g, 7 h") == (
        'a,b,c,d,e,f,g,h\n"NULL","","12","true"," x","a""b","x\'00\'",7\n'
    )


@pytest.mark.parametrize("script", ["", ";", " ; -- nothing\n", "/* nothing */"])
async def test_an_empty_script_gives_nothing(store: Store, script: str) -> None:
    assert await run(store, script) == ""


async def test_statements_of_one_script_see_what_those_before_them_did(store: Store) -> None:
    script = "UPDATE cities SET area = 1 WHERE id > 1; SELECT count(*) AS n FROM cities WHERE area = 1"
    assert await run(store, script, writable=True) == "[2 rows changed]\nn\n2\n[committed]\n"
    assert store.ask("SELECT count(*) FROM cities WHERE area = 1") == [(2,)]


async def test_changed_rows_can_be_asked_for(store: Store) -> None:
    script = "INSERT INTO log VALUES (1, 1), (1, 2), (1, 3) RETURNING step;"
    assert await run(store, script, writable=True, max_rows=2) == (
        "step\n1\n2\n[there are more than these 2 rows; they are not shown]\n[committed]\n"
    )
    assert store.ask("SELECT count(*) FROM log") == [(3,)]


@pytest.mark.parametrize(
    ("statement", "culprit"),
    [
        ("SELECT * FROM nowhere;", "nowhere"),
        ("SELECT nothing FROM cities;", "nothing"),
        ("SELEC 1;", "SELEC"),
        ("INSERT INTO cities (id, nothing) VALUES (4, 5);", "nothing"),
    ],
)
async def test_an_unknown_name_stops_the_turn_at_its_statement(store: Store, statement: str, culprit: str) -> None:
    completion = Completion(store.settings(writable=True))
    completion.runner.text(opened(f"INSERT INTO log VALUES (1, 1); {statement}"))
    vetoed = await completion.until(ev.TurnVetoed)
    assert isinstance(vetoed, ev.TurnVetoed)
    assert culprit.lower() in vetoed.reason.lower()
    assert isinstance(await completion.end("veto"), ev.Failure)
    assert store.ask("SELECT * FROM log") == []


async def test_rows_come_while_the_script_is_still_being_written(store: Store) -> None:
    completion = Completion(store.settings())
    completion.runner.text(opened("SELECT name FROM cities WHERE id = 1; SELECT "))
    output = await completion.until(ev.CallOutput)
    assert isinstance(output, ev.CallOutput)
    assert output.text.startswith("name\n")
    await completion.runner.aclose()


@pytest.mark.parametrize("mode", Mode)
async def test_what_was_changed_is_there_when_the_call_has_finished(store: Store, mode: Mode) -> None:
    completion = Completion(store.settings(writable=True), mode)
    completion.runner.text(written("INSERT INTO log VALUES (1, 1); INSERT INTO log VALUES (1, 2)"))
    assert await completion.end() == "[1 row changed]\n[1 row changed]\n[committed]\n"
    assert store.ask("SELECT count(*) FROM log") == [(2,)]


@pytest.mark.parametrize("reason", ["length", "veto", "stop"])
async def test_a_call_that_is_cut_off_changes_nothing(store: Store, reason: str) -> None:
    completion = Completion(store.settings(writable=True))
    completion.runner.text(opened("INSERT INTO log VALUES (1, 1); "))
    await completion.until(ev.CallOutput)
    assert isinstance(await completion.end(reason), ev.Failure)
    assert store.ask("SELECT * FROM log") == []


async def test_a_change_that_fails_takes_the_whole_script_back(store: Store) -> None:
    message = await refused(store, "INSERT INTO log VALUES (1, 1); INSERT INTO log VALUES (1, 1)", writable=True)
    assert "unique" in message.lower()
    assert store.ask("SELECT * FROM log") == []


async def test_a_constraint_that_is_checked_at_the_end_takes_it_back_too(store: Store) -> None:
    script = (
        "CREATE TABLE p (a integer PRIMARY KEY); "
        "CREATE TABLE q (a integer REFERENCES p (a) DEFERRABLE INITIALLY DEFERRED); INSERT INTO q VALUES (1)"
    )
    assert (await refused(store, script, writable=True)).startswith("not committed")
    assert "no such table" in await refused(store, "SELECT * FROM q") if store.is_sqlite else True


async def test_completions_do_not_see_what_is_not_committed(store: Store) -> None:
    writer = Completion(store.settings(writable=True))
    writer.runner.text(opened("INSERT INTO log VALUES (1, 1); CREATE TEMPORARY TABLE mine (a integer); "))
    await writer.until(ev.CallOutput)
    assert await run(store, "SELECT count(*) AS n FROM log") == "n\n0\n"
    assert "mine" in await refused(store, "SELECT * FROM mine")
    await writer.runner.aclose()


async def test_temporary_tables_do_not_outlive_their_call(store: Store) -> None:
    await run(store, "CREATE TEMPORARY TABLE mine (a integer)", writable=True)
    assert "mine" in await refused(store, "SELECT * FROM mine", writable=True)


WRITES = [
    "INSERT INTO log VALUES (1, 1);",
    "UPDATE cities SET area = 0;",
    "DELETE FROM cities;",
    "DROP TABLE cities;",
    "CREATE TABLE t (a integer);",
    "CREATE TEMPORARY TABLE t (a integer);",
    "ALTER TABLE cities ADD COLUMN x integer;",
    "EXPLAIN ANALYZE DELETE FROM cities;",
    "WITH d AS (DELETE FROM cities RETURNING 1) SELECT 1 FROM d;",
    "SELECT 1 AS a INTO t;",
    "TRUNCATE cities;",
]


@pytest.mark.parametrize("statement", WRITES)
async def test_nothing_is_written_where_nothing_may_be(store: Store, statement: str) -> None:
    before = store.ask("SELECT * FROM cities ORDER BY id")
    await refused(store, statement)
    assert store.ask("SELECT * FROM cities ORDER BY id") == before


TRANSACTIONS = ["BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT a", "RELEASE a", "ROLLBACK TO a"]
REFUSED_BY_SQLITE = [
    *("ATTACH DATABASE 'other.db' AS other", "DETACH DATABASE main", "VACUUM", "VACUUM INTO 'copy.db'"),
    *(
        "PRAGMA journal_mode = WAL",
        "PRAGMA writable_schema = ON",
        "PRAGMA query_only = OFF",
        "PRAGMA user_version = 2",
    ),
    *(
        "PRAGMA database_list",
        "PRAGMA hard_heap_limit = 0",
        "PRAGMA trusted_schema(1)",
        "PRAGMA temp_store_directory",
    ),
    *("SELECT load_extension('x')", "CREATE VIRTUAL TABLE v USING fts5(a)", "DROP TABLE sqlite_schema"),
    *("UPDATE sqlite_schema SET sql = ''", "SELECT * FROM pragma_database_list", "SELECT readfile('/etc/passwd')"),
    *("SELECT fts3_tokenizer('simple')", "SELECT writefile('x', 'y')", "SELECT edit('x')"),
]
REFUSED_BY_POSTGRES = [
    *("COPY cities TO PROGRAM 'cat'", "COPY cities TO '/tmp/x'", "COPY cities FROM STDIN", "COPY cities TO STDOUT"),
    *(
        "DO $$ BEGIN END $$",
        "CALL p()",
        "LISTEN a",
        "NOTIFY a",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
    ),
    *("SET transaction_read_only = off", "SET LOCAL statement_timeout = 0", "RESET ALL", "START TRANSACTION"),
    *(
        "SET TRANSACTION READ WRITE",
        "SELECT set_config('transaction_read_only', 'off', true)",
        "PREPARE TRANSACTION 'a'",
    ),
    *(
        "SELECT \"set_config\"('statement_timeout', '0', false)",
        "SELECT U&\"set\\005fconfig\"('role', 'postgres', false)",
    ),
    *("SELECT pg_read_file('/etc/passwd')", "SELECT lo_import('/etc/passwd')", "SELECT dblink('a', 'b')"),
    *("SELECT pg_terminate_backend(1)", "CREATE EXTENSION dblink", "CREATE ROLE a", "ALTER SYSTEM SET fsync = off"),
    *("CREATE DATABASE a", "ALTER ROLE model SET statement_timeout = 0", "VACUUM", "LOCK TABLE cities", "LOAD 'x'"),
    *(
        "PREPARE a AS SELECT 1",
        "EXECUTE a",
        "DECLARE a CURSOR FOR SELECT 1",
        "DISCARD ALL",
        "GRANT ALL ON cities TO a",
    ),
    *("CREATE INDEX CONCURRENTLY i ON cities (name)", "CREATE SUBSCRIPTION s"),
]


@pytest.mark.parametrize("writable", [False, True])
async def test_nothing_leaves_the_transaction_or_the_database(store: Store, writable: bool, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    database = store.open(writable=writable)
    for group in [TRANSACTIONS + REFUSED_BY_SQLITE] if store.is_sqlite else zip(TRANSACTIONS + REFUSED_BY_POSTGRES):
        async with database.begin() as transaction:  # PostgreSQL takes nothing more after an error
            for statement in group:
                with pytest.raises(Reject):
                    print(statement, [text async for text in transaction.run(f"{statement};")])
    assert sorted(tmp_path.iterdir()) == before


async def test_several_statements_cannot_pass_as_one(store: Store) -> None:
    """Were the script cut wrongly, the database would still refuse to run two at once."""
    async with store.open(writable=True).begin() as transaction:
        with pytest.raises(Reject, match=r"(?i)one statement|multiple commands"):
            async for _ in transaction.run("SELECT 1; COMMIT"):
                pass


async def test_a_statement_cannot_break_out_of_the_query_around_it(store: Store) -> None:
    for statement in ("SELECT 1) SELECT 1; DROP TABLE cities; WITH a AS (SELECT 1", "SELECT 1) --", "SELECT (1"):
        await refused(store, statement, writable=True)
    assert await run(store, "SELECT 1 AS a -- comment") == "a\n1\n"
    assert await run(store, "SELECT 1 AS a, 2 AS a /* ; */ ;") == "a,a\n1,2\n"


@pytest.mark.parametrize("query", [ENDLESS.format("count(*)"), ENDLESS.format("x") + ENDLESS.format("max(x)")])
async def test_an_endless_query_is_stopped_at_its_time(store: Store, query: str) -> None:
    began = time.monotonic()
    assert "stopped after 0.3 seconds" in await refused(store, query, statement_seconds=0.3)
    print(f"stopped {time.monotonic() - began - 0.3:.3f} s after its time")  # 1 is asked for


async def test_ten_million_rows_are_capped(store: Store) -> None:
    text = await run(store, MILLIONS if store.is_sqlite else "SELECT x FROM generate_series(1, 10000000) AS g(x);")
    assert text.splitlines() == [
        "x",
        *map(str, range(1, 201)),
        "[there are more than these 200 rows; they are not shown]",
    ]


async def test_output_is_capped_in_bytes_over_the_whole_call(store: Store) -> None:
    row = "SELECT 'é' || substr('" + "x" * 100 + "', 1) AS a;"
    text = await run(store, row * 50, max_bytes=1000)
    assert len(text.replace("[cut: the output of a call is limited to 1000 bytes]\n", "").encode()) <= 1000


async def test_a_long_value_is_cut(store: Store) -> None:
    long = "hex(zeroblob(5000000))" if store.is_sqlite else "repeat('0', 10000000)"
    for script in (f"SELECT {long} AS a", f"INSERT INTO cities VALUES (9, {long}, 1) RETURNING name AS a"):
        text = await run(store, script, writable=True)
        assert text == f'a\n"{"0" * 4096}"[cut at 4096 characters]\n[committed]\n'


@pytest.mark.parametrize("query", [ENDLESS.format("count(*)"), MILLIONS.replace("x FROM c", "count(*) FROM c, c AS d")])
async def test_a_cancel_reaches_a_running_statement(store: Store, query: str) -> None:
    completion = Completion(store.settings(writable=True))
    completion.runner.text(opened(f"INSERT INTO log VALUES (1, 1); {query}"))
    await completion.until(ev.CallOutput)
    await asyncio.sleep(0.1)  # the endless statement runs
    began = time.monotonic()
    async with asyncio.timeout(BOUND):  # it would run for ever
        await completion.runner.aclose()
    print(f"ended {(time.monotonic() - began) * 1000:.0f} ms after the cancel")  # 200 are asked for
    store.ask("INSERT INTO log VALUES (1, 1) RETURNING 1")  # no lock is left


async def test_both_give_the_same(store: Store) -> None:
    script = written("SELECT 1 AS a; SELECT name FROM cities ORDER BY id; SELECT count(*) AS n FROM log")
    plain, partial = (Completion(store.settings(), make=make) for make in (plain_sql, partial_sql))
    plain.runner.text(script)
    for character in script:
        partial.runner.text(character)
    assert await partial.end() == await plain.end() == 'a\n1\nname\nberlin\nbonn\n"ulm, an der donau"\nn\n0\n'


def test_there_is_no_tool_without_a_database(tmp_path: Path) -> None:
    assert sql_tools(SqlSettings()) == []
    with pytest.raises(DatabaseSettingError, match="there is no file"):
        sql_tools(SqlSettings(database=str(tmp_path / "none.db")))
    with pytest.raises(DatabaseSettingError, match=r"sql\.database"):
        sql_tools(SqlSettings(database="postgresql://[/"))


def test_the_tool_says_what_it_may_do(sqlite: Store) -> None:
    (reader,), (writer,) = sql_tools(sqlite.settings()), sql_tools(sqlite.settings(writable=True))
    assert (reader.effect, writer.effect) == (Effect.READ, Effect.WRITE)
    assert reader.starts_early
    assert writer.starts_early
    assert "SQLite" in reader.description
    assert reader.signature.parameters["script"].description


async def test_nested_views_that_explode_while_they_are_planned_are_killed(sqlite: Store) -> None:
    parts = "".join(f", a{i} AS (SELECT 1 AS v FROM a{i - 1} x, a{i - 1} y)" for i in range(1, 40))
    assert "stopped after" in await refused(
        sqlite, f"WITH a0 AS (SELECT 1 AS v){parts} SELECT count(*) FROM a39", statement_seconds=0.3
    )


@pytest.mark.parametrize(
    "query",
    [
        "SELECT instr(zeroblob(60000000), zeroblob(30000000) || x'01')",
        "SELECT length(group_concat(hex(zeroblob(30000000)))) FROM cities",
    ],
)
async def test_a_long_function_or_too_much_memory_ends_the_statement_alone(sqlite: Store, query: str) -> None:
    await refused(sqlite, query, statement_seconds=0.5)
    assert await run(sqlite, "SELECT 1 AS a") == "a\n1\n"


async def test_reading_pragmas_and_table_functions_work(sqlite: Store) -> None:
    assert "name" in await run(sqlite, "PRAGMA table_info(cities)")
    assert await run(sqlite, "SELECT value FROM json_each('[1, 2]')") == "value\n1\n2\n"
    assert await run(sqlite, "SELECT name FROM pragma_table_info('log')") == "name\nrun\nstep\n"


async def test_full_text_tables_can_be_read_and_written(sqlite: Store) -> None:
    sqlite.ask("CREATE VIRTUAL TABLE pages USING fts5(text)")
    await run(sqlite, "INSERT INTO pages VALUES ('to be or not')", writable=True)
    assert await run(sqlite, "SELECT text FROM pages WHERE pages MATCH 'not'") == "text\nto be or not\n"


async def test_triggers_are_one_statement(sqlite: Store) -> None:
    trigger = "CREATE TRIGGER t AFTER INSERT ON log BEGIN DELETE FROM cities; DELETE FROM log; END; "
    script = f"{trigger} INSERT INTO log VALUES (1, 1)"
    assert len(split(script, sqlite.open().dialect)) == 2
    await run(sqlite, script, writable=True)
    assert sqlite.ask("SELECT count(*) FROM cities") == [(0,)]


async def test_a_file_that_is_no_database_is_refused_in_words(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("to be or not\n" * 1000)
    with pytest.raises(Reject, match="cannot be opened: file is not a database"):
        await run(Store(str(file), lambda _: []), "SELECT 1")


async def test_an_empty_file_is_an_empty_database(tmp_path: Path) -> None:
    (tmp_path / "new.db").touch()
    empty = Store(str(tmp_path / "new.db"), lambda _: [])
    await run(empty, "CREATE TABLE t (a); INSERT INTO t VALUES (1)", writable=True)
    assert await run(empty, "SELECT * FROM t") == "a\n1\n"


async def test_rows_of_postgres_have_its_own_spelling(postgres: Store) -> None:
    values = r"""true a, '{1,2}'::int[] b, '{"k": 1}'::jsonb c, '\xff'::bytea d, 'infinity'::date e, 1.50 f, null g"""
    assert await run(postgres, f"SELECT {values}") == (
        'a,b,c,d,e,f,g\ntrue,"{1,2}","{""k"": 1}",\\xff,infinity,1.50,NULL\n'
    )


async def test_a_function_with_a_body_of_statements_can_be_made(postgres: Store) -> None:
    script = "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END; SELECT f() AS a"
    assert await run(postgres, script, writable=True) == "a\n2\n[committed]\n"


async def test_functions_of_rows_that_are_not_shown_still_write(postgres: Store) -> None:
    script = (
        "CREATE FUNCTION w(x int) RETURNS int LANGUAGE sql AS 'INSERT INTO log VALUES (x, x) RETURNING run';"
        "SELECT w(x) AS a FROM generate_series(1, 50) AS g(x); SELECT count(*) AS n FROM log"
    )
    assert (await run(postgres, script, writable=True, max_rows=5)).endswith("n\n50\n[committed]\n")
    await run(postgres, "WITH d AS (DELETE FROM log RETURNING run) SELECT count(*) AS n FROM d", writable=True)
    assert postgres.ask("SELECT count(*) FROM log") == [(0,)]
    assert "\n" in await run(postgres, "EXPLAIN SELECT 1; SHOW server_version; VALUES (1); TABLE log; (SELECT 1)")


async def test_postgres_is_not_used_as_a_superuser(postgres_server: str) -> None:
    with pytest.raises(Reject, match="superuser"):
        await run(Store(postgres_server, lambda _: []), "SELECT 1")


async def test_a_commit_whose_answer_is_lost_is_told_of_as_unknown(sqlite: Store) -> None:
    async with sqlite.open(writable=True).begin() as transaction:
        [child] = with_open(sqlite.address, "sqlite_child")
        os.kill(child, signal.SIGKILL)
        with pytest.raises(Reject, match=r"not known.*SIGKILL"):
            await transaction.commit()


async def test_a_server_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(Reject, match="cannot be reached"):
        await run(Store(f"postgresql:///x?host={tmp_path}", lambda _: []), "SELECT 1")


async def test_a_connection_that_breaks_fails_the_call(postgres: Store, postgres_server: str) -> None:
    with pytest.raises(Reject, match=r"terminat|lost"):
        async with postgres.open().begin() as transaction:
            with psycopg.connect(postgres_server, autocommit=True) as admin:
                query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'"
                admin.execute(query)
            async for _ in transaction.run("SELECT 1"):
                pass


async def test_a_call_that_is_cancelled_while_it_connects_leaves_no_connection(
    postgres: Store, postgres_server: str
) -> None:
    for passes in range(30):
        completion = Completion(postgres.settings())
        completion.runner.text(opened("SELECT 1; "))
        for _ in range(passes):
            await asyncio.sleep(0)
        await completion.runner.aclose()
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'trial'"
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        await until(lambda: admin.execute(query).fetchall() == [(1,)])  # the fixture's own


async def test_a_lock_of_another_is_waited_for_only_so_long(store: Store) -> None:
    first = Completion(store.settings(writable=True))
    first.runner.text(opened("UPDATE cities SET area = 1; "))
    await first.until(ev.CallOutput)
    message = await refused(store, "UPDATE cities SET area = 2", writable=True, lock_seconds=0.1)
    assert "lock" in message
    await first.runner.aclose()


async def test_a_waiting_process_that_has_died_is_not_given_to_a_call() -> None:
    spare, before = Spare(), children()
    spare.refill()
    [waiting] = children() - before
    os.kill(waiting, signal.SIGKILL)
    await until(lambda: not is_running(waiting))
    taken = spare.take()
    assert taken.is_alive
    taken.abandon()


async def test_one_process_waits_however_often_it_is_asked_for() -> None:
    spare, before = Spare(), children()
    spare.refill()
    spare.refill()
    assert len(children() - before) == 1
    spare.close()
    assert children() <= before
