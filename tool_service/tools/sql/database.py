"""What `sql` needs of a database: one transaction for each call, on a connection of its own."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from tool_service.interface import Reject
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
    text = " ".join(statement.split())
    excerpt = text if len(text) <= EXCERPT_CHARS else f"{text[: EXCERPT_CHARS - 1]}…"
    return Reject(f"{reason.strip()} (in: {excerpt})")


def changed(count: int) -> str:
    """What is said of a statement that gives no rows."""
    return f"[{count} {'row' if count == 1 else 'rows'} changed]\n"


def committed(settings: SqlSettings) -> str:
    """What is said of a commit: nothing where nothing can have been changed."""
    return "[committed]\n" if settings.writable else ""
