"""A way to a server that can be cut off and opened again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class DroppingProxy:
    """Passes on what comes to `port`; nothing while `down`."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.down = False
        self.refused = 0
        self._target = target
        self._passing: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["DroppingProxy"]:
        """Listens until the block is left."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await self.drop()

    async def drop(self) -> None:
        """Cuts every connection."""
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)
        if self.down:
            self.refused += 1
            writer.transport.abort()
            return
        upstream = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pass(reader, upstream[1]))
                group.create_task(_pass(upstream[0], writer))
        except* ConnectionError:
            pass
        except* asyncio.CancelledError:
            pass
        finally:
            writer.transport.abort()
            upstream[1].transport.abort()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
