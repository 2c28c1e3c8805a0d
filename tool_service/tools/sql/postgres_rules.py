"""Which statements a script may send to PostgreSQL.

This keeps mistakes and simple mischief out, and a script inside of its one transaction. It is no boundary: functions
can reach much, under names that are not known here. The boundary is what the role that connects may do.
"""

import re

from tool_service.tools.sql.splitter import words

READS = frozenset({"select", "values", "table", "with", "explain", "show"})
CHANGES = frozenset({"insert", "update", "delete", "merge"})
WRITES = CHANGES | frozenset({"truncate", "comment", "analyze"})
DEFINITIONS = frozenset({"create", "alter", "drop"})
DEFINED = frozenset(
    {
        "table",
        "index",
        "view",
        "sequence",
        "type",
        "domain",
        "schema",
        "function",
        "procedure",
        "routine",
        "trigger",
        "rule",
        "policy",
        "statistics",
    }
)
MODIFIERS = frozenset(
    {
        "or",
        "replace",
        "temp",
        "temporary",
        "unlogged",
        "unique",
        "global",
        "local",
        "materialized",
        "recursive",
        "constraint",
    }
)
# Functions that act on the server, on other sessions, or beyond their transaction (a READ ONLY one too); large objects,
# which READ ONLY does not hold everywhere; and those that run a query given as text, in which a name can be hidden.
REFUSED_NAMES = re.compile(
    r"""(?ix) \b( pg_read_(?:binary_)?file\w* | pg_ls_\w+ | pg_stat_file | pg_file_\w+
    | pg_terminate_backend | pg_cancel_backend | pg_reload_conf | pg_rotate_logfile\w* | pg_log_\w+ | pg_stat_reset\w*
    | pg_switch_wal | pg_promote | pg_wal_replay_\w+ | pg_backup_\w+ | pg_start_backup | pg_stop_backup
    | pg_create_\w+ | pg_copy_\w+_slot | pg_drop_replication_slot | pg_replication_\w+ | pg_logical_\w+
    | pg_sync_replication_slots | pg_import_\w+ | pg_notify | set_config
    | pg_advisory_\w+ | pg_try_advisory_\w+ | dblink\w*
    | brin_(?:de)?summarize_\w+ | gin_clean_pending_list
    | lo_(?:creat|create|from_bytea|import|export|open|close|get|put|lseek|lseek64|tell|tell64)
    | lo_(?:truncate|truncate64|unlink|manage) | loread | lowrite
    | query_to_xml\w* | ts_stat | ts_rewrite )\b"""
)
ESCAPED_NAME = re.compile(r'(?i)\bu&"')


def refusal(statement: str, writable: bool) -> str:
    """Why a statement may not be sent; empty where it may."""
    if found := REFUSED_NAMES.search(statement):
        return f"{found[0]} is not allowed"
    if ESCAPED_NAME.search(statement):
        return 'names written U&"…" are not allowed'
    if "\0" in statement:
        return "a statement cannot hold the character U+0000"
    return _refused_kind(words(statement), writable)


def is_plain_read(statement: str) -> bool:
    """Whether it only reads, as far as its words tell, so that a cursor can hold it."""
    found = words(statement)
    return found[0] in READS - {"explain", "show"} and not CHANGES & set(found)


def is_change(statement: str) -> bool:
    """Whether it is an INSERT, UPDATE, DELETE or MERGE."""
    return words(statement)[0] in CHANGES


def _refused_kind(found: list[str], writable: bool) -> str:
    if not found or found[0] in READS:  # without a word it is empty, or the server finds it wrong
        return ""
    kind = found[0]
    if kind not in WRITES | DEFINITIONS:
        return f"{kind.upper()} is not allowed: each call is one transaction of plain statements"
    if not writable:
        return "the database is read-only here"
    if kind in DEFINITIONS:
        what = next((word for word in found[1:] if word not in MODIFIERS), "")
        if what not in DEFINED:
            return f"{kind.upper()} {what.upper()} is not allowed"
    return ""
