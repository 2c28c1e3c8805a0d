"""A TCP proxy on loopback that can become a black hole, and counts HTTP/2 frames that pass."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD = 9  # of a frame: 3 bytes of length, type, flags, 4 of the stream (RFC 9113, 4.1)
PING, GOAWAY = 6, 7


class Frames:
    """Counts the frames of one direction by their type."""

    def __init__(self, counts: Counter[int], *, has_preface: bool) -> None:
        self._counts = counts
        self._skip = len(PREFACE) if has_preface else 0
        self._head = bytearray()

    def feed(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            if self._skip:
                passed = min(self._skip, len(view))
                self._skip -= passed
                view = view[passed:]
                continue
            wanted = HEAD - len(self._head)
            self._head += view[:wanted]
            view = view[wanted:]
            if len(self._head) == HEAD:
                self._counts[self._head[3]] += 1
                self._skip = int.from_bytes(self._head[:3])
                self._head.clear()


class TcpProxy:
    """Passes bytes on in both directions until `is_hole` is set; then it takes them and says nothing."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_hole = False
        self.connections = 0
        self.sent: Counter[int] = Counter()  # frames of who connects
        self.answered: Counter[int] = Counter()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """On a free port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
            try:
                await asyncio.gather(
                    self._pass_on(reader, back, Frames(self.sent, has_preface=True)),
                    self._pass_on(there, writer, Frames(self.answered, has_preface=False)),
                )
            finally:
                back.close()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, frames: Frames) -> None:
        while data := await reader.read(2**16):
            if not self.is_hole:
                frames.feed(data)
                writer.write(data)
                await writer.drain()
        writer.close()
