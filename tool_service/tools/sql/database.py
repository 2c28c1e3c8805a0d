"""What `sql` needs of a database: one transaction for each call, on a connection of its own."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from tool_service.execution.render import shortened
from tool_service.interface import Reject
from tool_service.tools.plain_text import plain, plain_line
from tool_service.tools.sql.settings import SqlSettings
from tool_service.tools.sql.splitter import Dialect

EXCERPT_CHARS = 80


class Transaction(Protocol):
    """A transaction. Whatever leaves it before `commit` has returned rolls it back."""

    def run(self, statement: str) -> AsyncIterator[str]:
        """Prepares and runs one statement; yields its rows, or how many it changed. Raises Reject where it cannot."""
        ...

    async def commit(self) -> str:
        """Makes what was changed last, and returns what there is to say of it. Raises Reject where it cannot."""
        ...


class Database(Protocol):
    """A database."""

    dialect: Dialect

    def begin(self) -> AbstractAsyncContextManager[Transaction]:
        """Connects and opens a transaction; closes the connection at the end. Raises Reject where it cannot."""
        ...


class DatabaseSettingError(ValueError):
    """The database that is configured cannot be one; the message says why."""


def failed(reason: str, statement: str) -> Reject:
    """Why a statement failed, and which."""
    return Reject(f"{plain(reason).strip()} (in: {shortened(plain_line(statement), EXCERPT_CHARS)})")


def committed(settings: SqlSettings) -> str:
    """What is said of a commit: nothing where nothing can have been changed."""
    return "[committed]\n" if settings.writable else ""
