"""An interpreter, and fork servers of a changed program."""

from contextlib import aclosing
from pathlib import Path

import pytest

from tests.interpreters import opened
from tool_service.tools.python.fork_server import ForkServer


@pytest.fixture
async def interpreter():
    async with aclosing(await opened()) as interpreter:
        yield interpreter


@pytest.fixture
def server_of():
    servers: list[ForkServer] = []

    def made(program: Path) -> ForkServer:
        servers.append(ForkServer((), program))
        return servers[-1]

    yield made
    for server in servers:
        server.close()
