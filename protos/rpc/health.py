"""`grpc.health.v1`, which anybody may ask, and which nobody can hold up.

The status is a value, and a change of it wakes whoever watches. What a watcher is told is written in the task of its
own call, so one that does not read waits for itself alone. (The servicer of grpcio-health-checking writes under a lock:
a client with a closed window would hold up every other watcher, and whoever changes the status.)
"""

import asyncio
from collections import Counter
from typing import Any, NoReturn

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

MAX_WATCHES = 16  # of a connection; a channel has one for each name that it asks about
LAST_WORD_SECONDS = 0.5  # that a watcher has to hear of the end

Context = grpc.aio.ServicerContext[Any, Any]


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # untyped
    """Tells the status of services: NOT_SERVING until it is set, and again from `end` on."""

    def __init__(self, services: tuple[str, ...]) -> None:
        self._services = services
        self._status = health_pb2.HealthCheckResponse.NOT_SERVING
        self._changed = asyncio.Event()  # a new one after each change
        self._ending = asyncio.Event()
        self._watches: Counter[str] = Counter()  # by the peer's address, which is one for each connection

    def set(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        """Changes the status of all of them. After `end` nothing does any more."""
        if not self._ending.is_set():
            self._status = status
            self._changed.set()
            self._changed = asyncio.Event()

    def end(self) -> None:
        """Says NOT_SERVING for good, and ends the watches, which never end of themselves."""
        self.set(health_pb2.HealthCheckResponse.NOT_SERVING)
        self._ending.set()

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Context) -> health_pb2.HealthCheckResponse:
        """The status now."""
        if request.service not in self._services:
            await _abort(context, grpc.StatusCode.NOT_FOUND, "there is no such service")
        return health_pb2.HealthCheckResponse(status=self._status)

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Context) -> None:
        """The status, and every change of it until the server stops. Who reads slowly misses those in between."""
        peer = context.peer()
        if self._watches[peer] >= MAX_WATCHES:
            details = f"{MAX_WATCHES} watches of health are open on this connection, as many as may be"
            await _abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, details)
        self._watches[peer] += 1
        telling = asyncio.create_task(self._tell(request.service, context))
        ending = asyncio.create_task(self._ending.wait())
        try:
            await asyncio.wait((telling, ending), return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait((telling,), timeout=LAST_WORD_SECONDS)
        finally:
            telling.cancel()
            ending.cancel()
            self._watches[peer] -= 1
            if not self._watches[peer]:
                del self._watches[peer]

    async def _tell(self, service: str, context: Context) -> None:
        told = None
        while True:
            changed, status = self._changed, self._status_of(service)
            if status != told:
                await context.write(health_pb2.HealthCheckResponse(status=status))
                told = status
            elif self._ending.is_set():
                return
            else:
                await changed.wait()

    def _status_of(self, service: str) -> health_pb2.HealthCheckResponse.ServingStatus:
        return self._status if service in self._services else health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


async def _abort(context: Context, code: grpc.StatusCode, details: str) -> NoReturn:
    await context.abort(code, details)
    raise AssertionError("abort always raises")
