"""What a speaker for a model tells one completion after its start: text, ends of turns, decisions.

Text comes on the completion's own stream, or by a feed (`feeds.py`), which may be behind it: the end of a turn then
says how long its text is, and waits for the rest.
"""

import asyncio
import contextvars
from collections.abc import Callable

from protos.rpc.errors import Reason, ServiceError, reject
from tool_service.execution.runner import Runner
from tool_service.formats.format import EndReason


class Commands:
    """Carries them out, in the context of whoever makes it. `fail` hears of what fails where nobody waits for it."""

    def __init__(self, runner: Runner, fail: Callable[[Exception], None]) -> None:
        self._runner = runner
        self._fail = fail
        self._length = 0  # of the turn's text, in code points
        self._grown = asyncio.Event()
        self._ending: asyncio.Task[None] | None = None  # its calls may wait for a decision, so others are carried out
        self._is_complete = False  # the turn's text, until the turn has finished
        self._is_feed_lost = False
        self._context = contextvars.copy_context()  # a feed has another: of no completion

    def text(self, text: str) -> None:
        """More of the turn's text. Raises ServiceError."""
        self._require_open()
        self._length += len(text)
        self._grown.set()
        self._runner.text(text)

    def fed(self, text: str) -> None:
        """The same, of a feed: what is wrong ends this completion and not the feed."""
        try:
            self._context.run(self.text, text)
        except Exception as error:
            self._fail(error)

    def lose_feed(self) -> None:
        """No more text will come by the feed: a turn that waits for some will not end, nor one whose end is still on
        its way and finds some missing."""
        self._is_feed_lost = True
        if self._ending is not None and not self._ending.done() and not self._is_complete:
            self._ending.cancel()
            self._fail(_feed_lost())

    def end_turn(self, reason: EndReason, length: int) -> None:
        """The turn ends when its text is so long; with 0, now. Raises ServiceError."""
        self._require_open()
        if self._ending is not None and not self._ending.done():
            reject(Reason.PROTOCOL_VIOLATION, "the turn is ended already")
        if self._is_feed_lost and self._length < length:
            raise _feed_lost()
        self._is_complete = not length
        self._ending = asyncio.create_task(self._end(reason, length))
        self._ending.add_done_callback(self._tell)

    def decide(self, call_id: str, approved: bool, reason: str) -> None:
        """A person's word on a call."""
        self._runner.decide(call_id, approved, reason)

    async def finished(self) -> None:
        """Waits until the turn that is ending has finished."""
        if self._ending is not None:
            await self._ending

    async def aclose(self) -> None:
        """Gives up what is still going on."""
        if self._ending is not None:
            self._ending.cancel()
            await asyncio.gather(self._ending, return_exceptions=True)

    async def _end(self, reason: EndReason, length: int) -> None:
        while self._length < length:
            self._grown.clear()
            await self._grown.wait()
        if length and self._length > length:
            reject(Reason.PROTOCOL_VIOLATION, f"the turn has {self._length} characters instead of {length}")
        self._is_complete = True
        self._length = 0
        await self._runner.end_turn(reason)
        self._is_complete = False

    def _require_open(self) -> None:
        if self._is_complete:
            reject(Reason.PROTOCOL_VIOLATION, "the turn that ended has not finished; wait for turn_finished")

    def _tell(self, ended: "asyncio.Task[None]") -> None:
        if not ended.cancelled() and isinstance(error := ended.exception(), Exception):
            self._fail(error)


def _feed_lost() -> ServiceError:
    return ServiceError(Reason.TOOL_SERVICE_UNAVAILABLE, "the feed ended before the turn's text")
