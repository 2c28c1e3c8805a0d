"""The seam between the engine and the event loop: commands in, one batch of outputs per step out.

A thread costs nothing for moving data, but shares the interpreter with the event loop: while that writes the step's
messages, the engine waits to go on. A process of its own is faster. Measured by `python -m benchmarks.isolation`, 32
sessions that stream over gRPC on two cores, medians of 3 rounds:

    torch's threads   tokens/s: thread, process   ms between tokens, p50   p99
    1                 615   668 (1.09)            50.4   47.4              65.3   59.2
    2                 825   970 (1.18)            36.5   31.2              51.0   50.8

It is a thread still because that is the simpler one: grammars and failures cross it as they are. Nobody but this module
knows that it is a thread.
"""

import asyncio
import itertools
import queue
import threading
from collections.abc import AsyncIterator, Callable, Sequence

import structlog

from decoder_service.engine.engine import Engine
from decoder_service.engine.messages import (
    Begin,
    Command,
    EndTurn,
    Expect,
    Failed,
    Output,
    Prepare,
    Release,
    Resume,
    TurnEnded,
    TurnSpec,
)
from decoder_service.engine.sampler import Sampling

log = structlog.get_logger()

ENGINE_STOPPED = "the engine has stopped"


class SequenceFailedError(Exception):
    """The engine could not go on with a sequence."""


class EngineStoppedError(Exception):
    """The engine's thread has ended by an error; nothing can be decoded any more."""


class EngineOverloadedError(Exception):
    """As many sequences live as may."""


class SequenceHandle:
    """One sequence as the event loop sees it."""

    def __init__(self, id_: int, send: Callable[[Command], None]) -> None:
        self.id = id_
        self._send = send
        self.outbox: asyncio.Queue[Output] = asyncio.Queue()

    async def turn(self) -> AsyncIterator[Output]:
        """The running turn's outputs, `TurnEnded` last. Raises SequenceFailedError."""
        while True:
            output = await self.outbox.get()
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

    def end_turn(self) -> None:
        """Ends the running turn early."""
        self._send(EndTurn(self.id))


class EngineThread:
    """Runs an engine in a thread of its own. Made and used inside the running event loop."""

    def __init__(self, engine: Engine, max_sequences: int) -> None:
        self._engine = engine
        self._max_sequences = max_sequences
        self._loop = asyncio.get_running_loop()
        self._commands: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._handles: dict[int, SequenceHandle] = {}
        self._ids = itertools.count(1)
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self.failed = asyncio.Event()

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    async def stop(self) -> None:
        """Ends the thread after its running step."""
        self._commands.put(None)
        await asyncio.to_thread(self._thread.join, 10)

    def begin(self, prompt: list[int], sampling: Sampling, turn: TurnSpec) -> SequenceHandle:
        """Adds a sequence and starts its first turn. Whoever begins it releases it.

        Raises EngineOverloadedError, and SequenceFailedError once the engine has failed.
        """
        if self.failed.is_set():
            raise SequenceFailedError(ENGINE_STOPPED)
        if len(self._handles) >= self._max_sequences:
            raise EngineOverloadedError
        handle = SequenceHandle(next(self._ids), self._commands.put)
        self._handles[handle.id] = handle
        self._commands.put(Begin(handle.id, tuple(prompt), sampling, turn))
        return handle

    def release(self, handle: SequenceHandle) -> None:
        """Frees a sequence in whatever state, at the end of the running step at the latest."""
        if self._handles.pop(handle.id, None) is not None:
            self._commands.put(Release(handle.id))

    def counts(self) -> dict[str, int]:
        """Sequences by state, as of the last step."""
        return self._engine.counts()

    def _work(self) -> None:
        try:
            while self._take_commands():
                outputs = self._engine.step()
                if outputs:
                    self._deliver(outputs)
        except Exception:
            log.exception("engine stopped")
            self._call(self._fail_all)
        finally:
            self._engine.close()

    def _take_commands(self) -> bool:
        """Carries out what has come in; waits where the engine has nothing to run. False: stop."""
        block = not self._engine.busy()
        while True:
            try:
                command = self._commands.get(block)
            except queue.Empty:
                return True
            if command is None:
                return False
            self._deliver(self._engine.execute(command))
            block = False

    def _deliver(self, outputs: list[Output]) -> None:
        if outputs:
            self._call(lambda: self._hand_out(outputs))

    def _call(self, function: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:  # the loop is closed: the process is on its way out, nobody listens
            log.debug("outputs dropped")

    def _hand_out(self, outputs: list[Output]) -> None:
        for output in outputs:
            handle = self._handles.get(output.id)
            if handle is not None:
                handle.outbox.put_nowait(output)

    def _fail_all(self) -> None:
        self.failed.set()
        for handle in self._handles.values():
            handle.outbox.put_nowait(Failed(handle.id, ENGINE_STOPPED))
