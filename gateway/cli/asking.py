"""What `conveyor ask` does when a call waits to be allowed: asks, answers by itself, or says how to answer.

--approve ask   on a terminal a question and y or n; elsewhere the command that somebody may type
--approve yes   every call is allowed
--approve no    every call is refused
"""

import asyncio
import enum
import shlex
import sys
from collections.abc import Awaitable
from typing import Self

from gateway.cli.approve import send_word
from gateway.cli.failure import Failure, Peer
from gateway.cli.keyboard import Keyboard
from gateway.cli.live import Live, Phase
from gateway.cli.options import GATEWAY_ADDRESS
from gateway.cli.sanitise import one_line
from gateway.cli.show import Show
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.rpc.errors import Reason

QUESTION = "allow it? y / n"
_ANSWERS = {"y": True, "n": False}


class Approve(enum.StrEnum):
    """Who answers for the person."""

    ASK = "ask"
    YES = "yes"
    NO = "no"


class Asking:
    """A show in which calls that wait get an answer. `keys`: whether there is a terminal to ask on."""

    def __init__(self, show: Show, peer: Peer, approve: Approve, *, keys: bool) -> None:
        self._show = show
        self._peer = peer
        self._approve = approve
        self._keyboard = Keyboard(self._on_key) if keys and approve is Approve.ASK else None
        self._live = Live()
        self._open: dict[str, str] = {}  # completion by call, the first one being asked about
        self._sending: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self._show.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._keyboard is not None:
            self._keyboard.close()
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        await self._show.__aexit__(*error)

    def event(self, live: Live, response: pb.CompleteResponse) -> None:
        """Shows what has changed, and asks."""
        self._live = live
        self._show.event(live, response)
        kind = response.WhichOneof("event")
        if kind == "approval_awaited":
            self._on_awaited(response.approval_awaited)
        elif kind == "call_finished" and response.call_finished.call_id in self._open:
            self._close(response.call_finished.call_id)

    def _on_awaited(self, awaited: pb.ApprovalAwaited) -> None:
        if self._approve is not Approve.ASK:
            self._send(awaited.request_id, awaited.call_id, self._approve is Approve.YES)
        elif self._keyboard is None:
            print(
                f"[{self._label(awaited.call_id)}] to allow it: {self._command(awaited)}", file=sys.stderr, flush=True
            )
        else:
            self._open[awaited.call_id] = awaited.request_id
            self._ask_next()

    def _on_key(self, key: str) -> None:
        if self._open and key.lower() in _ANSWERS:
            call_id, request_id = next(iter(self._open.items()))
            self._close(call_id)
            self._send(request_id, call_id, _ANSWERS[key.lower()])

    def _ask_next(self) -> None:
        if self._keyboard is None:
            return
        if not self._open:
            self._keyboard.close()
            return
        call = self._live.calls.get(next(iter(self._open)))
        if call is not None and not call.question:
            call.question = QUESTION
            self._keyboard.open()

    def _close(self, call_id: str) -> None:
        del self._open[call_id]
        if (call := self._live.calls.get(call_id)) is not None:
            call.question = ""
            if call.phase is Phase.AWAITING:
                call.phase = Phase.OPENED if call.started_at is None else Phase.RUNNING
        self._ask_next()

    def _send(self, request_id: str, call_id: str, approved: bool) -> None:
        word = pb.ApproveRequest(request_id=request_id, call_id=call_id, approved=approved)
        task = asyncio.create_task(self._told(send_word(self._peer, word), call_id))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _told(self, sending: Awaitable[None], call_id: str) -> None:
        try:
            await sending
        except Failure as failure:
            if failure.reason != Reason.NOT_AWAITED:  # somebody else was quicker, or its time had run out
                print(f"[{self._label(call_id)}] {one_line(failure.cause)}", file=sys.stderr, flush=True)

    def _label(self, call_id: str) -> str:
        call = self._live.calls.get(call_id)
        return call.label if call is not None else one_line(call_id, 40)

    def _command(self, awaited: pb.ApprovalAwaited) -> str:
        words = ["conveyor", "approve", one_line(awaited.request_id), one_line(awaited.call_id)]
        if self._peer.address != GATEWAY_ADDRESS:
            words += [self._peer.option, self._peer.address]
        return shlex.join(words)
