r"""Starts early and keeps state: a line counts while the model writes the next, and the sum lasts for the completion.

$ conveyor up --tools.modules examples/expenses.py
$ conveyor tools call add_expenses --arguments '{"lines": "coffee 3.50\ntrain 12.00\n", "currency": "CHF"}'
coffee: 3.50
train: 15.50
15.50 CHF so far
"""

from collections.abc import AsyncIterator
from decimal import Decimal, InvalidOperation

from tool_service.interface import Arg, Reject, Session, Stream, tool


class Lines:
    """A splitter: cuts text into lines."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, text: str) -> list[str]:
        """The lines that the new text completes."""
        *lines, self._rest = (self._rest + text).split("\n")
        return [f"{line}\n" for line in lines]

    def close(self) -> list[str]:
        """The last line."""
        return [self._rest]


class Purse:
    """What a completion has spent. `Session` makes it when it is first asked for, and closes it at the end."""

    def __init__(self) -> None:
        self.spent = Decimal(0)

    @classmethod
    async def open(cls) -> "Purse":
        """An empty one."""
        return cls()

    async def aclose(self) -> None:
        """Nothing to free."""


@tool
async def add_expenses(
    lines: Stream[str],
    session: Session,
    currency: Arg[str] = "EUR",  # type: ignore[assignment]  # a default is the value that the Arg resolves to
) -> AsyncIterator[str]:
    """Add expenses to the sum of this conversation, and give the sum after each.

    Args:
        lines: One expense a line, a name and an amount: coffee 3.50
        currency: What the amounts are in.
    """
    async with session.exclusive(Purse.open) as purse:
        async for line in lines.units(Lines()):  # each as soon as the model has ended it
            if line.strip():
                name, amount = read(line)
                purse.spent += amount
                yield f"{name}: {purse.spent}\n"
        yield f"{purse.spent} {await currency} so far"


def read(line: str) -> tuple[str, Decimal]:
    """Name and amount. A line that has none stops the turn: the model need not write the others."""
    name, _, amount = line.strip().rpartition(" ")
    try:
        value = Decimal(amount)
    except InvalidOperation:
        value = Decimal("NaN")
    if not name or not value.is_finite():
        raise Reject(f"{line.strip()!r} is not a name and an amount, such as: coffee 3.50")
    return name, value
