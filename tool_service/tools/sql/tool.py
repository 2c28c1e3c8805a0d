"""`sql`: statements run while the script is still being decoded, and are committed when its call is sealed.

What the model pays for is decoding the script; connecting, planning and running hide behind it.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any

from tool_service.interface import Call, Effect, Stream, Tool, tool
from tool_service.tools.sql.database import Database
from tool_service.tools.sql.settings import SqlSettings
from tool_service.tools.sql.splitter import SqlSplitter

Function = Callable[..., AsyncIterator[str]]


def partial_sql(database: Database) -> Function:
    """Each statement runs as soon as its `;` is there."""

    async def sql(script: Stream[str], call: Call) -> AsyncIterator[str]:
        async with database.begin() as transaction:
            async for statement in script.units(SqlSplitter(database.dialect)):
                async for text in transaction.run(statement):
                    yield text
            await call.sealed()
            yield await transaction.commit()

    return sql


def sql_tools(settings: SqlSettings, make: Callable[[Database], Function] = partial_sql) -> list[Tool]:
    """`sql` on the configured database; nothing where there is none. Raises DatabaseSettingError."""
    if not settings.database:
        return []
    database = open_database(settings)
    function: Any = make(database)
    function.__doc__ = _description(database, settings)
    decorate = tool(
        effect=Effect.WRITE if settings.writable else Effect.READ,
        timeout=settings.call_seconds,
        concurrency=16,
    )
    return [decorate(function)]


def open_database(settings: SqlSettings) -> Database:
    """The database of an address or file. Connects to nothing yet. Raises DatabaseSettingError."""
    if settings.database.startswith(("postgresql:", "postgres:")):
        from tool_service.tools.sql.postgres import PostgresDatabase  # psycopg takes a while to load

        return PostgresDatabase(settings)
    from tool_service.tools.sql.sqlite import SqliteDatabase

    return SqliteDatabase(settings)


def _description(database: Database, settings: SqlSettings) -> str:
    rights = "read and change" if settings.writable else "read"
    whole = " The script is one transaction: all of it happens, or nothing." if settings.writable else ""
    return (
        f"Run a script of {database.dialect.value} statements that {rights} the database.{whole}\n\n"
        f"Rows come back as CSV, at most {settings.max_rows} of each statement.\n\n"
        "Args:\n    script: Statements, each ended by a semicolon.\n"
    )
