"""The engine in a process of its own: commands and outputs go through a pipe, pickled, one batch of outputs a step.

It has the interface of `decoder_service.engine.thread.EngineThread`, as far as a completion without tools and grammars
uses it. Grammars are compiled objects of a library and cannot be pickled: they would have to be made over there.
"""

import asyncio
import itertools
import multiprocessing
import pickle
from multiprocessing.connection import Connection

import decoder_service  # isort: skip  # noqa: F401  # before torch
import torch

from decoder_service.assembly import engine_of, pages_of
from decoder_service.engine.engine import Engine
from decoder_service.engine.messages import Begin, Command, Output, Release, TurnSpec
from decoder_service.engine.pages import PAGE_TOKENS
from decoder_service.engine.messages import Sampling
from decoder_service.engine.thread import EngineOverloadedError, SequenceHandle
from decoder_service.models.loader import load
from decoder_service.settings import DecoderSettings


class ProcessEngine:
    """Starts the process, and is the event loop's end of the pipe. Made inside the running event loop."""

    def __init__(self, settings: DecoderSettings) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_work, args=(other, settings), daemon=True)
        self._process.start()
        other.close()
        self._max_sequences = settings.max_running + settings.max_waiting
        self._handles: dict[int, SequenceHandle] = {}
        self._ids = itertools.count(1)
        self.failed = asyncio.Event()

    async def ready(self) -> int:
        """Waits until the model is loaded; gives the context. Raises EOFError where the process ended."""
        context: int = await asyncio.to_thread(self._pipe.recv)
        asyncio.get_running_loop().add_reader(self._pipe.fileno(), self._read)
        return context

    async def stop(self) -> None:
        """Ends the process after its running step."""
        asyncio.get_running_loop().remove_reader(self._pipe.fileno())
        self._send(None)
        await asyncio.to_thread(self._process.join, 10)

    def begin(self, prompt: list[int], sampling: Sampling, turn: TurnSpec) -> SequenceHandle:
        """As `EngineThread.begin`."""
        if len(self._handles) >= self._max_sequences:
            raise EngineOverloadedError
        handle = SequenceHandle(next(self._ids), self._send)
        self._handles[handle.id] = handle
        self._send(Begin(handle.id, tuple(prompt), sampling, turn))
        return handle

    def release(self, handle: SequenceHandle) -> None:
        """As `EngineThread.release`."""
        if self._handles.pop(handle.id, None) is not None:
            self._send(Release(handle.id))

    def _send(self, command: Command | None) -> None:
        self._pipe.send_bytes(pickle.dumps(command, pickle.HIGHEST_PROTOCOL))

    def _read(self) -> None:
        """The loop says that there is something: all of it is handed out."""
        while self._pipe.poll():
            try:
                outputs: list[Output] = pickle.loads(self._pipe.recv_bytes())
            except EOFError:
                asyncio.get_running_loop().remove_reader(self._pipe.fileno())
                self.failed.set()
                return
            for output in outputs:
                handle = self._handles.get(output.id)
                if handle is not None:
                    handle.outbox.put_nowait(output)


def _work(pipe: Connection, settings: DecoderSettings) -> None:
    """The process: as `EngineThread` works, with a pipe for its queue."""
    torch.set_num_threads(settings.threads)
    loaded = load(settings.model, settings.dtype)
    context = min(loaded.context, pages_of(settings, loaded) * PAGE_TOKENS)
    engine = engine_of(settings, loaded, context, loaded.end_tokens)
    pipe.send(context)
    try:
        while _take_commands(pipe, engine):
            if outputs := engine.step():
                pipe.send_bytes(pickle.dumps(outputs, pickle.HIGHEST_PROTOCOL))
    except (EOFError, OSError):
        return  # nobody is there any more


def _take_commands(pipe: Connection, engine: Engine) -> bool:
    """Carries out what has come in; waits where the engine has nothing to run. False: stop."""
    while not engine.busy() or pipe.poll():
        command: Command | None = pickle.loads(pipe.recv_bytes())
        if command is None:
            return False
        if outputs := engine.execute(command):
            pipe.send_bytes(pickle.dumps(outputs, pickle.HIGHEST_PROTOCOL))
    return True
