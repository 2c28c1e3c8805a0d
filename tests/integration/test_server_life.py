"""How a server ends."""

import asyncio
import os
import signal

from protos.rpc.server import until_stopped


class Recorder:
    """A server that drains when it is told that it may."""

    def __init__(self) -> None:
        self.graces: list[float] = []
        self.asked = asyncio.Event()
        self.drained = asyncio.Event()

    async def stop(self, grace_seconds: float) -> None:
        self.graces.append(grace_seconds)
        self.asked.set()
        if grace_seconds == 0:
            self.drained.set()
        await self.drained.wait()


async def test_a_signal_drains_and_a_second_one_cuts_it_short() -> None:
    server, failed = Recorder(), asyncio.Event()
    life = asyncio.create_task(until_stopped(server, 30, failed))
    await asyncio.sleep(0)  # the handlers are in place
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(5):
        await server.asked.wait()
        assert not failed.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        await life
    assert server.graces == [30, 0]


async def test_a_failure_ends_a_server_as_a_signal_does() -> None:
    server, failed = Recorder(), asyncio.Event()
    server.drained.set()
    failed.set()
    async with asyncio.timeout(5):
        await until_stopped(server, 30, failed)
    assert server.graces == [30]
