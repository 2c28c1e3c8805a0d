"""The least that a client of a stream over HTTP must do, so that little of its own work is measured."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from protos.rpc.context import REQUEST_ID

DATA = b"data: "


class HttpRefusedError(Exception):
    """An answer whose status is not 200. `status`, and `headers` by their names in lower case."""

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        super().__init__(f"HTTP {status}")
        self.status, self.headers = status, headers


class HttpStream:
    """One request for a stream of events, on a connection of its own. An async context manager: entering it connects,
    leaving it closes the connection, whatever of the answer is still to come."""

    def __init__(self, address: str, path: str, body: dict[str, Any], request_id: str) -> None:
        self._address = address
        self._path = path
        self._body = json.dumps(body).encode()
        self._request_id = request_id

    async def __aenter__(self) -> "HttpStream":
        host, _, port = self._address.rpartition(":")
        self._reader, self._writer = await asyncio.open_connection(host, int(port))
        return self

    def ask(self) -> None:
        """Sends the request."""
        head = (
            f"POST {self._path} HTTP/1.1\r\nHost: {self._address}\r\nContent-Type: application/json\r\n"
            f"{REQUEST_ID}: {self._request_id}\r\nContent-Length: {len(self._body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + self._body)

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    def close(self) -> None:
        """Closes the connection."""
        self._writer.close()

    async def begun(self) -> None:
        """Reads the head of the answer. Raises HttpRefusedError."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        status = int(first.split()[1])
        if status != 200:
            pairs = (line.partition(":") for line in lines if line)
            raise HttpRefusedError(status, {name.lower(): value.strip() for name, _, value in pairs})

    async def events(self) -> AsyncIterator[tuple[float, bytes]]:
        """The data of each event, and when it came, in seconds of the monotonic clock."""
        while True:
            line = await self._reader.readline()
            if line.startswith(DATA):
                data = line[len(DATA) :].strip()
                if data == b"[DONE]":
                    return
                yield time.monotonic(), data
            elif not line:
                return
