"""What is said to a process of ours and back: JSON, one message a line, over a socket."""

import asyncio
import contextlib
import json
import socket
from typing import Any, Self

LINE_BYTES = 32 << 20  # more than the longest result, escaped


class JsonLines:
    """This side of the socket. Whoever opens it closes it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, connection: socket.socket) -> Self:
        """Takes the socket over."""
        return cls(*await asyncio.open_connection(sock=connection, limit=LINE_BYTES))

    async def is_silent(self) -> bool:
        """Whether nothing has come that is still to be read. What has is lost, and so is the end."""
        await asyncio.sleep(0)  # the loop hears of what has come before the time is up
        try:
            async with asyncio.timeout(0):  # what is there is read without waiting
                await self._reader.read(1)
        except TimeoutError:
            return not self._reader.at_eof()
        except ConnectionError:
            pass
        return False

    async def send(self, message: Any) -> None:
        """Sends a message. A process that has ended takes it silently: `receive` tells."""
        with contextlib.suppress(ConnectionError):
            self._writer.write(json.dumps(message).encode() + b"\n")
            await self._writer.drain()

    async def receive(self) -> Any:
        """The next message. Raises EOFError where the process has ended, ValueError for what is none or too long."""
        try:
            return json.loads(await self._reader.readuntil(b"\n"))
        except asyncio.LimitOverrunError:
            raise ValueError(f"a line of more than {LINE_BYTES} bytes") from None
        except (asyncio.IncompleteReadError, ConnectionError):
            raise EOFError from None

    async def hang_up(self) -> None:
        """Says that no more will come, and waits until the process has closed its side, too."""
        with contextlib.suppress(ConnectionError):
            if not self._writer.is_closing():
                self._writer.write_eof()
            while await self._reader.read(LINE_BYTES):
                pass

    def close(self) -> None:
        """Closes the socket."""
        self._writer.close()
