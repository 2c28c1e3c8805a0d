"""What a script may do to an SQLite database: the authorizer, which SQLite asks while it prepares a statement.

Standard library only: SQLite's process imports it.
"""

import sqlite3

READS = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})
WRITES = frozenset(
    getattr(sqlite3, f"SQLITE_{name}")
    for name in (
        *("INSERT", "UPDATE", "DELETE", "ALTER_TABLE", "REINDEX", "ANALYZE"),
        *("CREATE_TABLE", "CREATE_INDEX", "CREATE_VIEW", "CREATE_TRIGGER"),
        *("CREATE_TEMP_TABLE", "CREATE_TEMP_INDEX", "CREATE_TEMP_VIEW", "CREATE_TEMP_TRIGGER"),
        *("DROP_TABLE", "DROP_INDEX", "DROP_VIEW", "DROP_TRIGGER"),
        *("DROP_TEMP_TABLE", "DROP_TEMP_INDEX", "DROP_TEMP_VIEW", "DROP_TEMP_TRIGGER"),
    )
)
PRAGMAS_OF_A_TABLE = frozenset(
    {"table_info", "table_xinfo", "index_list", "index_info", "index_xinfo", "foreign_key_list", "foreign_key_check"}
)
PRAGMAS = PRAGMAS_OF_A_TABLE | frozenset(
    {
        "table_list",
        "collation_list",
        "function_list",
        "compile_options",
        "encoding",
        "user_version",
        "schema_version",
        "application_id",
        "page_count",
        "page_size",
        "freelist_count",
        "data_version",
        "foreign_keys",
    }
)
FUNCTIONS_REFUSED = frozenset({"load_extension", "fts3_tokenizer"})
NAMES = {
    sqlite3.SQLITE_TRANSACTION: "BEGIN, COMMIT and ROLLBACK: each call is one transaction",
    sqlite3.SQLITE_SAVEPOINT: "SAVEPOINT: each call is one transaction",
    sqlite3.SQLITE_ATTACH: "ATTACH and VACUUM",
    sqlite3.SQLITE_DETACH: "DETACH",
    sqlite3.SQLITE_CREATE_VTABLE: "CREATE VIRTUAL TABLE",
    sqlite3.SQLITE_DROP_VTABLE: "DROP of a virtual table",
}


class Authorizer:
    """Allows by a list. `refusal` says what was refused last; `reads` and `writes` whether anything asked for that."""

    def __init__(self, writable: bool) -> None:
        self._writable = writable
        self.refusal = ""
        self.reads = False
        self.writes = False

    def __call__(
        self, action: int, first: str | None, second: str | None, database: str | None, source: str | None
    ) -> int:
        """SQLite's question."""
        self.reads = self.reads or action == sqlite3.SQLITE_READ
        self.writes = self.writes or action in WRITES
        self.refusal = self._refusal(action, first or "", second)
        return sqlite3.SQLITE_DENY if self.refusal else sqlite3.SQLITE_OK

    def _refusal(self, action: int, first: str, second: str | None) -> str:
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in FUNCTIONS_REFUSED:
            return f"the function {second} is not allowed"
        if action == sqlite3.SQLITE_PRAGMA:
            name = first.lower()
            allowed = name in PRAGMAS and (second is None or name in PRAGMAS_OF_A_TABLE)
            return "" if allowed else f"PRAGMA {name}{'' if second is None else ' with a value'} is not allowed"
        if action in READS or (self._writable and action in WRITES):
            return ""
        if action in WRITES:
            return "the database is read-only here"
        return f"not allowed: {NAMES.get(action, f'action {action}')}"
