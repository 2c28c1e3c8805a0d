"""Completions that nobody holds a connection for: they run until they end, are cancelled, or their time is up."""

import asyncio
from contextlib import aclosing

import structlog

from gateway.completions import Completions
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.rpc.errors import ServiceError

log = structlog.get_logger()


class Detached:
    """Runs them. They count among the gateway's completions: its limits, deadlines and drain are theirs."""

    def __init__(self, completions: Completions) -> None:
        self._completions = completions
        self._running: set[asyncio.Task[None]] = set()

    async def start(self, request: pb.CompleteRequest) -> None:
        """Returns when it is admitted and recorded, under the id of the running request. Raises `ServiceError` where it
        is refused."""
        recorded = asyncio.Event()
        task = asyncio.create_task(self._run(request, recorded))
        self._running.add(task)
        task.add_done_callback(self._ended)
        waiting = asyncio.create_task(recorded.wait())
        try:
            await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if not recorded.is_set():
            await task

    async def stop(self) -> None:
        """Ends what still runs."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _run(self, request: pb.CompleteRequest, recorded: asyncio.Event) -> None:
        async with aclosing(self._completions.run(request, recorded.set)) as responses:
            async for _ in responses:
                pass

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Who follows it is told by its recording, the log by who observes it; of bugs the log is told here."""
        self._running.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if not isinstance(error, ServiceError):
            log.error("failed", exc_info=error)
