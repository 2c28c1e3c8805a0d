"""What a script on PostgreSQL may only read stays as it is, beyond its transaction, too."""

import psycopg
import pytest

from tests.unit.tool_service.tools.sql.conftest import Store
from tests.unit.tool_service.tools.sql.test_sql import refused, run

ACTING = [
    *("lo_from_bytea(0, 'evil'::bytea)", "lo_creat(-1)", "lo_create(0)", "lo_unlink(1)", "lo_put(1, 0, 'a'::bytea)"),
    *("lo_open(1, 131072)", "loread(0, 1)", "lowrite(0, 'a'::bytea)", "lo_truncate64(0, 0)", "LO_CREAT /* */ (-1)"),
    *("pg_notify('a', 'b')", "pg_advisory_lock(1)", "pg_try_advisory_xact_lock(1)", "pg_cancel_backend(1)"),
    *("pg_logical_emit_message(false, 'a', 'b')", "pg_create_physical_replication_slot('a')", "pg_stat_reset()"),
    *("pg_replication_slot_advance('a', '0/0')", "pg_drop_replication_slot('a')", "pg_switch_wal()", "pg_promote()"),
    *("brin_summarize_new_values('i')", "gin_clean_pending_list('i')", "pg_log_backend_memory_contexts(1)"),
    *("query_to_xml('SELECT pg_not' || 'ify(1)', true, true, '')", "ts_stat('SELECT 1')"),
]


@pytest.mark.parametrize("call", ACTING)
async def test_functions_that_act_beyond_the_transaction_are_refused_by_name(postgres: Store, call: str) -> None:
    assert "is not allowed" in await refused(postgres, f"SELECT {call}")


async def test_names_that_only_look_like_those_are_none(postgres: Store) -> None:
    assert await run(postgres, "SELECT 1 AS lo_price, 2 AS pg_promoted") == "lo_price,pg_promoted\n1,2\n"


async def test_what_read_only_does_not_hold_is_rolled_back(postgres: Store) -> None:
    with psycopg.connect(postgres.address, autocommit=True) as connection:
        connection.execute("CREATE FUNCTION keep() RETURNS oid LANGUAGE sql RETURN lo_from_bytea(0, 'evil')")
    kept = postgres.ask("SELECT count(*) FROM pg_largeobject_metadata")
    await run(postgres, "SELECT keep() AS a")
    assert postgres.ask("SELECT count(*) FROM pg_largeobject_metadata") == kept


async def test_rows_without_columns_were_not_changed(postgres: Store) -> None:
    assert await run(postgres, "SELECT FROM cities LIMIT 2; SELECT WHERE false", writable=True) == (
        "[2 rows without columns]\n[0 rows without columns]\n[committed]\n"
    )
