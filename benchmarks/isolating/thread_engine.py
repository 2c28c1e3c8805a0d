"""The engine in a thread of the process that asks it: the same work over the same connection, in one interpreter."""

import asyncio
import socket
import threading
from typing import Self

from decoder_service.engine.client import EngineClient
from decoder_service.engine.compiling import Compiler
from decoder_service.engine.engine import Engine
from decoder_service.engine.worker import work

STOP_SECONDS = 10.0


class ThreadEngine(EngineClient):
    """Leads to `engine`, which works in a thread."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        max_sequences: int,
        engine: Engine,
        thread: threading.Thread,
    ) -> None:
        super().__init__(reader, writer, max_sequences)
        self.engine = engine
        self._thread = thread

    @classmethod
    async def start(cls, engine: Engine, compiler: Compiler, max_sequences: int) -> Self:
        """Starts the thread."""
        ours, theirs = socket.socketpair()
        thread = threading.Thread(target=work, args=(theirs, engine, compiler), name="engine", daemon=True)
        thread.start()
        return cls(*await asyncio.open_unix_connection(sock=ours), max_sequences, engine, thread)

    async def stop(self) -> None:
        """Ends it after its running step."""
        await self.close()
        await asyncio.to_thread(self._thread.join, STOP_SECONDS)
