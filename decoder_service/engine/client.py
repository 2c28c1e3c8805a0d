"""The event loop's end of the connection to an engine: sequences as the event loop sees them.

What is sent waits in memory where the connection does not take it, and so never holds up the loop. The other side reads
whatever its engine does; each sequence has little to say, and there are so many at most.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Sequence

import structlog

from decoder_service.engine.connection import frame, read
from decoder_service.engine.messages import (
    Begin,
    Command,
    Decoded,
    EndTurn,
    Expect,
    Failed,
    GrammarRefused,
    Output,
    Prepare,
    Release,
    Report,
    Resume,
    Sampling,
    TurnEnded,
    TurnSpec,
)
from decoder_service.engine.sequence import State

log = structlog.get_logger()

ENGINE_STOPPED = "the engine has stopped"


class SequenceFailedError(Exception):
    """The engine could not go on with a sequence."""


class GrammarRefusedError(SequenceFailedError):
    """The grammar of a sequence's turn cannot be compiled; the message says why."""


class EngineOverloadedError(Exception):
    """As many sequences live as may."""


class SequenceHandle:
    """One sequence as the event loop sees it. `said_at`: when the engine said what `turn` gave last, in seconds of
    `time.monotonic`.

    `on_text` is given text the moment it comes, before whoever reads `turn` has had a chance to run: with many
    sequences that is milliseconds later, and tools are not to wait for what is told to callers.
    """

    def __init__(self, id_: int, send: Callable[[Command], None], on_text: Callable[[str], None] | None) -> None:
        self.id = id_
        self.said_at = 0.0
        self._send = send
        self._on_text = on_text
        self.outbox: asyncio.Queue[tuple[float, Output]] = asyncio.Queue()

    def hear(self, at: float, output: Output) -> None:
        """Takes what the engine says of it. For the client."""
        if self._on_text and isinstance(output, Decoded) and output.text:
            try:
                self._on_text(output.text)
            except Exception:
                log.exception("text could not be passed on", sequence=self.id)
                output = Failed(self.id, "its text could not be passed on")
        self.outbox.put_nowait((at, output))

    async def turn(self) -> AsyncIterator[Output]:
        """The running turn's outputs, `TurnEnded` last. Raises SequenceFailedError."""
        while True:
            self.said_at, output = await self.outbox.get()
            if isinstance(output, GrammarRefused):
                raise GrammarRefusedError(output.message)
            if isinstance(output, Failed):
                raise SequenceFailedError(output.message)
            yield output
            if isinstance(output, TurnEnded):
                return

    def prepare(self, start: int, tokens: Sequence[int]) -> None:
        """Says what is likely to come with `resume`, from its `start`-th token on."""
        self._send(Prepare(self.id, start, tuple(tokens)))

    def resume(self, tokens: list[int], turn: TurnSpec) -> None:
        """Starts the next turn after these tokens."""
        self._send(Resume(self.id, tuple(tokens), turn))

    def expect(self, returns_at: float) -> None:
        """Says when the parked sequence is expected to resume, in seconds of `time.monotonic`."""
        self._send(Expect(self.id, returns_at))

    def end_turn(self, reason: str) -> None:
        """Ends the running turn early; `reason` is that of its `TurnEnded`."""
        self._send(EndTurn(self.id, reason))


class EngineClient:
    """Begins sequences and hands out what the engine says of them. `failed` is set when the engine is gone, unless by
    `close`: every sequence fails then. `cache_usage`: the share of the cache that sequences hold, as of the last step.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, max_sequences: int) -> None:
        self._reader = reader
        self._writer = writer
        self._max_sequences = max_sequences
        self._handles: dict[int, SequenceHandle] = {}
        self._ids = itertools.count(1)
        self._counts = {state.value: 0 for state in State if state is not State.FINISHED}
        self.cache_usage = 0.0
        self.failed = asyncio.Event()
        self._reading: asyncio.Task[None] | None = asyncio.create_task(self._read())

    def begin(
        self, prompt: list[int], sampling: Sampling, turn: TurnSpec, on_text: Callable[[str], None] | None = None
    ) -> SequenceHandle:
        """Adds a sequence and starts its first turn. Whoever begins it releases it.

        Raises EngineOverloadedError, and SequenceFailedError once the engine has failed.
        """
        if self.failed.is_set():
            raise SequenceFailedError(ENGINE_STOPPED)
        if self.is_full:
            raise EngineOverloadedError
        handle = SequenceHandle(next(self._ids), self._send, on_text)
        self._handles[handle.id] = handle
        self._send(Begin(handle.id, tuple(prompt), sampling, turn))
        return handle

    @property
    def is_full(self) -> bool:
        """Whether `begin` would raise EngineOverloadedError."""
        return len(self._handles) >= self._max_sequences

    def release(self, handle: SequenceHandle) -> None:
        """Frees a sequence in whatever state, at the end of the running step at the latest."""
        if self._handles.pop(handle.id, None) is not None:
            self._send(Release(handle.id))

    def counts(self) -> dict[str, int]:
        """Sequences by state, as of the last step."""
        return self._counts

    async def close(self) -> None:
        """Says no more, which ends the engine after its running step."""
        reading, self._reading = self._reading, None  # it keeps its CancelledError, whose frames keep us
        if reading is not None:
            reading.cancel()
            await asyncio.wait([reading])
        self._handles.clear()
        self._writer.transport.abort()  # what is not sent yet is of no use any more

    def _send(self, command: Command) -> None:
        if not self.failed.is_set():
            self._writer.write(frame(command))

    async def _read(self) -> None:
        try:
            while True:
                self._hand_out(await read(self._reader))
        except (EOFError, OSError):
            self._fail_all()
        except Exception:
            log.exception("what the engine said could not be read")
            self._fail_all()

    def _hand_out(self, report: Report) -> None:
        self._counts = report.counts
        self.cache_usage = report.cache_usage
        for output in report.outputs:
            handle = self._handles.get(output.id)
            if handle is not None:
                handle.hear(report.at, output)

    def _fail_all(self) -> None:
        self.failed.set()
        for handle in self._handles.values():
            handle.hear(time.monotonic(), Failed(handle.id, ENGINE_STOPPED))
