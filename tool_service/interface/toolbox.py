"""Other tools, for a tool whose work is to call them."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from tool_service.interface.tool import Tool

T = TypeVar("T")


class InnerCallError(Exception):
    """An inner call failed; the message is for the model."""


class InnerCall(Protocol):
    """A call that a tool makes. It is in the timeline beside its parent, and ends with it."""

    id: str

    async def run(self, arguments: Mapping[str, Any], after: Sequence[InnerCall] = ()) -> str:
        """Runs it and gives its result. `after`: the inner calls whose results its arguments hold.

        Raises InnerCallError, also for arguments that break the tool's schema.
        """
        ...

    def fail(self, reason: str) -> None:
        """Ends it without running it."""
        ...


class Caller(Protocol):
    """What is behind a toolbox."""

    def open(self, name: str) -> InnerCall:
        """Opens an inner call."""
        ...

    async def aside(self, work: Awaitable[T]) -> T:
        """Waits off the clock of the calling tool."""
        ...


class Toolbox:
    """Handed to a tool that asks for it with a parameter annotated `Toolbox`.

    `tools` are those that may be called: the completion's others, or where it has none, all that do no harm. An inner
    call is held to its own tool's limits. One that changes the world starts only when the call that makes it is
    sealed, and when those of the same tool that were opened before it have ended.
    """

    def __init__(self, tools: Mapping[str, Tool], caller: Caller) -> None:
        self.tools = tools
        self._caller = caller

    def open(self, name: str) -> InnerCall:
        """Opens a call of a tool in `tools`, at this place of the text. Raises InnerCallError."""
        return self._caller.open(name)

    async def aside(self, work: Awaitable[T]) -> T:
        """Waits for inner calls, whose work is theirs and not the calling tool's."""
        return await self._caller.aside(work)
