"""`sql` as an ordinary function: what the tool would be if it waited for its whole call."""

from collections.abc import AsyncIterator

from tool_service.tools.sql.database import Database
from tool_service.tools.sql.splitter import split
from tool_service.tools.sql.tool import Function


def plain_sql(database: Database) -> Function:
    """The whole script at once."""

    async def sql(script: str) -> AsyncIterator[str]:
        async with database.begin() as transaction:
            for statement in split(script, database.dialect):
                async for text in transaction.run(statement):
                    yield text
            yield await transaction.commit()

    return sql
