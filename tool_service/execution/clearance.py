"""What stands between a sealed call and its effect: a person's approval where it is asked for, and the journal, which
lets each call act once.

    sealed ─▶ acted before? ─▶ approved? ─▶ noted in the journal ─▶ may act ─▶ outcome noted
"""

import asyncio
import contextlib
from typing import Protocol

from tool_service.execution.events import ApprovalAwaited, Failure
from tool_service.execution.journal import Fresh, Interrupted, JournalError, KeyReused, Repeated, Verdict
from tool_service.execution.shared import Shared
from tool_service.execution.to_the_end import to_the_end
from tool_service.interface.effect import Effect
from tool_service.interface.tool import Tool


class Ask(Protocol):
    """`EffectJournal.look` or `begin`."""

    async def __call__(self, key: str, tool: str, arguments_json: str, *, again: bool) -> Verdict:
        """What the journal knows of a call."""
        ...


class Clearance:
    """Of one call, whose journal key is `key`."""

    def __init__(self, call_id: str, key: str, tool: Tool, shared: Shared) -> None:
        self._call_id = call_id
        self._key = key
        self._tool = tool
        self._shared = shared
        self._decision: asyncio.Future[Failure | None] | None = None
        self._noted = False

    @property
    def needed(self) -> bool:
        """Whether the call may not act as soon as it is sealed."""
        return self._tool.asks or not self._tool.effect.harmless

    async def may_prepare(self) -> bool:
        """Whether the call may run up to its seal. One whose key is known will be answered by the journal instead.

        A tool that were run again would find the world as its first run left it, and fail.
        """
        if self._tool.effect.harmless:
            return True
        try:
            return not await self._shared.journal.knows(self._key)
        except JournalError:  # `obtain` will say so
            return False

    async def obtain(self, arguments_json: str) -> str | Failure | None:
        """Waits until the call may act. Gives None then, or else the outcome that it has without acting."""
        acts, asks = not self._tool.effect.harmless, self._tool.asks
        if acts and asks:  # nobody is asked to allow what was done already
            known = await self._ask_journal(self._shared.journal.look, arguments_json)
            if known is not None:
                return known
        if asks and (refusal := await self._approval(arguments_json)):
            return refusal
        if not acts:
            return None
        try:
            return await to_the_end(self._begin(arguments_json))
        except asyncio.CancelledError:
            with contextlib.suppress(JournalError):  # it then counts as one that may have acted
                await self.withdraw()
            raise

    def decide(self, approved: bool, reason: str) -> None:
        """A person's word. Ignored where nobody waits for it."""
        if self._decision is not None and not self._decision.done():
            denied = Failure("DENIED", f"A person refused this call{f': {reason}' if reason else '.'}")
            self._decision.set_result(None if approved else denied)

    async def note(self, outcome: str | Failure) -> None:
        """Notes the outcome of a call that has acted, for who repeats it. Raises JournalError."""
        if self._noted:
            await self._shared.journal.finish(self._key, outcome)

    async def withdraw(self) -> None:
        """Forgets a call that was allowed to act and did not. Raises JournalError."""
        if self._noted:
            self._noted = False
            await self._shared.journal.withdraw(self._key)

    async def _begin(self, arguments_json: str) -> str | Failure | None:
        known = await self._ask_journal(self._shared.journal.begin, arguments_json)
        self._noted = known is None
        return known

    async def _approval(self, arguments_json: str) -> Failure | None:
        seconds = self._shared.approval_seconds
        self._decision = asyncio.get_running_loop().create_future()
        self._shared.emit(ApprovalAwaited(self._call_id, self._shared.completion_id, arguments_json, seconds))
        try:
            return await asyncio.wait_for(self._decision, seconds)
        except TimeoutError:
            return Failure("DENIED", f"Nobody allowed this call within {seconds:g} s.")

    async def _ask_journal(self, ask: Ask, arguments_json: str) -> str | Failure | None:
        again = self._tool.effect is Effect.IDEMPOTENT
        try:
            verdict = await ask(self._key, self._tool.name, arguments_json, again=again)
        except JournalError as error:
            return Failure("RAISED", f"The call was not run: {error}.")
        match verdict:
            case Fresh():
                return None
            case Repeated():
                return verdict.outcome
            case Interrupted():
                return Failure(
                    "OUTCOME_UNKNOWN",
                    "This call was begun before and its end is not known; it may have acted. It was not run again.",
                )
            case KeyReused():
                return Failure(
                    "KEY_REUSED",
                    "Another call was made under this completion's id and this call's place; it was not run.",
                )
