"""A client of gRPC that asks, and takes nothing of the answer: HTTP/2 with a window of none."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import h2.config
import h2.connection
import h2.events
import h2.settings


class ClosedWindow:
    """A connection that calls methods and is kept up, but whose flow control lets no answer's body through."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        window = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0}
        self._state.local_settings = h2.settings.Settings(client=True, initial_values=window)
        self._state.initiate_connection()
        self._flush()
        self._begun: asyncio.Queue[int] = asyncio.Queue()

    async def call(self, method: str, message: bytes = b"", **metadata: str) -> None:
        """Calls `/package.Service/Method`, and returns when its answer has begun, whose first message never comes."""
        stream = self._state.get_next_available_stream_id()
        fixed = {":method": "POST", ":scheme": "http", ":path": method, ":authority": "localhost"}
        kind = {"content-type": "application/grpc", "te": "trailers"}
        self._state.send_headers(stream, [*fixed.items(), *kind.items(), *metadata.items()])
        self._state.send_data(stream, b"\0" + len(message).to_bytes(4, "big") + message, end_stream=True)
        self._flush()
        while await self._begun.get() != stream:
            pass

    async def run(self) -> None:
        """Reads what the server says, until it closes the connection, and answers its pings."""
        with contextlib.suppress(OSError):
            while data := await self._reader.read(65536):
                for event in self._state.receive_data(data):
                    if isinstance(event, h2.events.ResponseReceived):
                        self._begun.put_nowait(event.stream_id)
                self._flush()

    def _flush(self) -> None:
        self._writer.write(self._state.data_to_send())


@contextlib.asynccontextmanager
async def closed_window(port: int) -> AsyncIterator[ClosedWindow]:
    """Connected to a port of this machine."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    client = ClosedWindow(reader, writer)
    running = asyncio.create_task(client.run())
    try:
        yield client
    finally:
        running.cancel()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
