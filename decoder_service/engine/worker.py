"""The engine's side of a connection: commands in, one report a step out.

    event loop ══ commands ══▶ reading thread ─▶ queue ─▶ step loop ══ reports ══▶ event loop
                                                   ▲  │
                                 compiled grammars ┘  └▶ compiling threads

A thread reads, so that nobody who sends waits for the end of a step; what it has read is bounded by the sequences that
there may be. The step loop sends, and waits where the event loop does not read: nothing grows then, and the end of the
event loop ends the wait.
"""

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Iterable

import structlog

from decoder_service.engine.compiling import Compiled, Compiler, Compiling, Ready
from decoder_service.engine.connection import frame, receive
from decoder_service.engine.engine import Engine
from decoder_service.engine.messages import Command, Failed, GrammarRefused, Output, Release, Report
from decoder_service.text.grammar import InvalidGrammarError

log = structlog.get_logger()


def work(connection: socket.socket, engine: Engine, compiler: Compiler) -> bool:
    """Runs the engine until the other side closes the connection or is gone; False: the engine has failed.

    Closes both.
    """
    worker = _Worker(connection, engine, compiler)
    try:
        worker.run()
    except ConnectionError:
        log.debug("nobody listens to the engine any more")
    except Exception:
        log.exception("engine stopped")
        return False
    finally:
        worker.close()
    return True


class _Worker:
    def __init__(self, connection: socket.socket, engine: Engine, compiler: Compiler) -> None:
        self._connection = connection
        self._engine = engine
        self._inbox: queue.SimpleQueue[Command | Compiled | None] = queue.SimpleQueue()
        self._compiling = Compiling(compiler, self._inbox.put)
        self._counts: dict[str, int] = {}
        self._reader = threading.Thread(target=self._read, name="commands", daemon=True)

    def run(self) -> None:
        """Raises what the engine raises, and ConnectionError when nobody is there any more."""
        self._reader.start()
        while self._take_commands():
            self._report(self._engine.step())

    def close(self) -> None:
        self._compiling.close()
        self._engine.close()
        with contextlib.suppress(OSError):  # the other side was faster
            self._connection.shutdown(socket.SHUT_RDWR)  # which ends the reading thread
        self._reader.join()
        self._connection.close()

    def _read(self) -> None:
        try:
            with contextlib.suppress(EOFError, OSError):
                while True:
                    self._inbox.put(receive(self._connection))
        finally:
            self._inbox.put(None)

    def _take_commands(self) -> bool:
        """Carries out what has come in; waits where the engine has nothing to run. False: stop."""
        block = not self._engine.busy()
        while True:
            try:
                item = self._inbox.get(block)
            except queue.Empty:
                return True
            if item is None:
                return False
            if outputs := self._carry_out(item):
                self._report(outputs)
            block = False

    def _carry_out(self, item: Command | Compiled) -> list[Output]:
        return self._finish(item) if isinstance(item, Compiled) else self._execute(self._compiling.take(item))

    def _finish(self, compiled: Compiled) -> list[Output]:
        error = compiled.result.exception()
        if error is None:
            return self._execute(self._compiling.finish(compiled))
        self._compiling.drop(compiled.id)
        self._engine.execute(Release(compiled.id))
        if isinstance(error, InvalidGrammarError):
            return [GrammarRefused(compiled.id, str(error))]
        log.error("compiling a grammar failed", sequence=compiled.id, exc_info=error)
        return [Failed(compiled.id, "compiling the grammar failed")]

    def _execute(self, commands: Iterable[Ready]) -> list[Output]:
        return [output for command, grammar in commands for output in self._engine.execute(command, grammar)]

    def _report(self, outputs: list[Output]) -> None:
        counts = self._engine.counts()
        counts["waiting"] += self._compiling.new_count
        if outputs or counts != self._counts:
            self._connection.sendall(frame(Report(outputs, counts, time.monotonic(), self._engine.cache_usage)))
            self._counts = counts
