"""The life of a gRPC server.

Start: listen, then tell health NOT_SERVING until the service says that it is ready. Stop, on SIGTERM or SIGINT, in this
order: health off, no new calls, running calls get `grace_seconds`, then they are cancelled. A second signal cancels
them at once.
"""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from protos.rpc.certificates import server_credentials
from protos.rpc.channel import MESSAGE_BYTES
from protos.rpc.health import Health
from protos.rpc.tls import ServerTls

METADATA_BYTES = 16 * 1024  # of a call; gRPC answers RESOURCE_EXHAUSTED to more, and the connection stays
_HANDSHAKE_SECONDS = 20  # for TLS and the first words of HTTP/2; who says nothing holds no connection for longer

log = structlog.get_logger()


class Server:
    """A gRPC server with health and reflection.

    `register` is called with the `grpc.aio.Server` to add servicers to; `services` are their full names. Beyond
    `max_connections` new ones are closed at once, and beyond `max_streams` calls on one connection further ones wait.
    """

    def __init__(
        self,
        address: str,
        register: Callable[[grpc.aio.Server], None],
        services: Sequence[str],
        *,
        reflect: bool = True,
        tls: ServerTls | None = None,
        interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
        max_connections: int = 1_000_000,
        max_streams: int = 2**31 - 1,
    ) -> None:
        self._health = Health(("", *services))
        self._tls = tls if tls is not None and tls.cert else None
        self._server = grpc.aio.server(
            interceptors=tuple(interceptors),
            options=[
                ("grpc.max_send_message_length", MESSAGE_BYTES),
                ("grpc.max_receive_message_length", MESSAGE_BYTES),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
                ("grpc.http2.max_ping_strikes", 0),
                ("grpc.so_reuseport", 0),
                ("grpc.max_metadata_size", METADATA_BYTES),
                ("grpc.absolute_max_metadata_size", METADATA_BYTES),
                ("grpc.server_handshake_timeout_ms", _HANDSHAKE_SECONDS * 1000),
                ("grpc.max_allowed_incoming_connections", max_connections),
                ("grpc.max_concurrent_streams", max_streams),
            ],
        )
        register(self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if reflect:
            reflection.enable_server_reflection(
                (*services, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME),
                self._server,
            )
        self._address = address
        self.port = 0

    async def start(self) -> None:
        """Listens. Raises OSError with the address and the remedy where it cannot."""
        try:
            self.port = self._add_port()
        except RuntimeError as error:
            raise OSError(f"cannot listen on {self._address}: is it taken by another process?") from error
        await self._server.start()

    def _add_port(self) -> int:
        if self._tls is None:
            return self._server.add_insecure_port(self._address)
        return self._server.add_secure_port(self._address, server_credentials(self._tls))

    async def ready(self) -> None:
        """Tells health that calls are welcome. The service calls it when it can answer one."""
        self._health.set(health_pb2.HealthCheckResponse.SERVING)
        log.info("ready", address=self._address, port=self.port)

    async def not_ready(self) -> None:
        """Takes `ready` back, for as long as the service cannot answer."""
        self._health.set(health_pb2.HealthCheckResponse.NOT_SERVING)
        log.info("not_ready", address=self._address, port=self.port)

    async def stop(self, grace_seconds: float) -> None:
        """Health off, no new calls, then `grace_seconds` for the running ones."""
        self._health.end()
        await self._server.stop(grace_seconds)


class Stoppable(Protocol):
    """A server, or a service around one. `stop` may be called again with less grace while it runs."""

    async def stop(self, grace_seconds: float) -> None:
        """Drains within `grace_seconds`."""


class Draining:
    """A server, whose drain is not held up by streams that never end of themselves: `drain` ends them, once they are of
    no use any more."""

    def __init__(self, server: Stoppable, drain: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._server = server
        self._drain = drain

    async def stop(self, grace_seconds: float) -> None:
        """See `Server.stop`."""
        draining = asyncio.create_task(self._drain())
        try:
            await self._server.stop(grace_seconds)
        finally:
            draining.cancel()


async def until_stopped(server: Stoppable, grace_seconds: float, failed: asyncio.Event | None = None) -> None:
    """Waits for SIGTERM, SIGINT or `failed`, then drains; a further signal cuts the drain short."""
    loop = asyncio.get_running_loop()
    first, second = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (second if first.is_set() else first).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    ends = [asyncio.create_task(event.wait()) for event in (first, failed) if event is not None]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for end in ends:
        end.cancel()
    log.info("draining", grace_seconds=grace_seconds)
    draining = asyncio.create_task(server.stop(grace_seconds))
    forced = asyncio.create_task(second.wait())
    await asyncio.wait((draining, forced), return_when=asyncio.FIRST_COMPLETED)
    forced.cancel()
    if not draining.done():
        await server.stop(0)
    await draining
    log.info("stopped")
