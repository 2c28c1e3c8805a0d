"""The gateway put together, and its life."""

import asyncio
import time
from pathlib import Path

import structlog
from starlette.routing import Route

from gateway import page
from gateway.archive.archive import Archive
from gateway.completions import Completions
from gateway.guard.callers import Callers
from gateway.guard.connections import ConnectionLimits
from gateway.guard.descriptors import connections_within
from gateway.guard.gate import guarded
from gateway.guard.hosts import Hosts
from gateway.guard.interceptor import KeyInterceptor
from gateway.http import HttpServer, create_app
from gateway.metrics import Metrics
from gateway.models import ServedModel
from gateway.native.routes import Native
from gateway.observing import Observer
from gateway.openai.routes import OpenAi
from gateway.openapi import document as openapi
from gateway.readiness import Readiness
from gateway.servicer import GatewayServicer
from gateway.settings import GatewaySettings
from gateway.tools import Catalogue
from protos.conveyor.decoder.v1 import decoder_pb2_grpc
from protos.conveyor.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from protos.rpc.channel import open_channel
from protos.rpc.server import Server
from protos.rpc.tracing import FLUSH_SECONDS, open_tracer

_SERVICE = gateway_pb2.DESCRIPTOR.services_by_name["GatewayService"].full_name
_CLOSE_SECONDS = 1.0
_OTHER_CALLS = 64  # of one connection, beside its completions
_KEEP_SECONDS = 1.0  # for what the end of the grace has ended to be kept

log = structlog.get_logger()


class Gateway:
    """A gateway in the running event loop."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._channels = {
            "decoder": open_channel(settings.decoder_address, settings.peer_tls),
            "tools": open_channel(settings.tools_address, settings.peer_tls),
        }
        self.metrics = Metrics()
        self.catalogue = Catalogue(self._channels["tools"], settings.tools_refresh_seconds)
        decoder = decoder_pb2_grpc.DecoderServiceStub(self._channels["decoder"])
        self._archive = Archive(settings.completions_file, settings.max_kept)
        self._tracer = open_tracer("gateway", settings)
        observer = Observer(self.metrics, self._tracer, settings.log_content)
        model = ServedModel(decoder)
        self.completions = Completions(settings, decoder, model, self.catalogue, observer, self._archive)
        servicer = GatewayServicer(self.completions, self.catalogue)
        refused = self.metrics.key_refused
        callers = Callers(Path(settings.keys_file), on_refused=refused) if settings.keys_file else None
        connections = connections_within(settings.max_connections)
        self._server = Server(
            settings.address,
            lambda server: gateway_pb2_grpc.add_GatewayServiceServicer_to_server(servicer, server),
            (_SERVICE,),
            reflect=settings.reflection,
            tls=settings.tls,
            interceptors=[KeyInterceptor(callers)] if callers is not None else (),
            max_connections=connections,
            # More than there can be completions, so that who asks for too many is told; but not without end: a call
            # whose client does not take its end is there for as long as the connection.
            max_streams=settings.max_active + _OTHER_CALLS,
        )
        self.readiness = Readiness(self._channels, self._tell, needed_once=frozenset(("tools",)))
        openai = OpenAi(self.completions, model.name, settings.max_body_bytes)
        self._native = Native(self.completions, self._archive, self.catalogue, settings.max_body_bytes)
        routes = (*page.routes, *openai.routes, *self._native.routes, openapi.route())
        app = create_app(self.readiness, self.metrics, routes)
        self.routes = [route for route in app.routes if isinstance(route, Route)]
        hosts = Hosts(settings.http_address, settings.allowed_hosts)
        self._http = HttpServer(
            settings.http_address,
            guarded(app, hosts=hosts, origins=settings.allowed_origins, callers=callers),
            ConnectionLimits(settings.receive_seconds, connections),
            settings.tls,
        )
        self._background: list[asyncio.Task[None]] = []

    @property
    def port(self) -> int:
        """The port of gRPC, once started."""
        return self._server.port

    @property
    def http_port(self) -> int:
        """The port of HTTP, once started; 0 where it is switched off."""
        return self._http.port

    async def start(self) -> None:
        """Listens and begins to follow its peers. Raises OSError where a port is taken, or a file cannot be used."""
        await self._archive.open()
        await self._server.start()
        if self._settings.http_address:
            await self._http.start()
        for work in (self.catalogue.run(), self.readiness.run()):
            task = asyncio.create_task(work)
            task.add_done_callback(_report)
            self._background.append(task)

    async def stop(self, grace_seconds: float) -> None:
        """Health off, no new completions, `grace_seconds` for the running ones, then the servers and the channels.

        Until the last completion has ended, new ones are told why they are refused; a server that has stopped would
        only cancel them. May be called again with less grace while it runs.
        """
        deadline = time.monotonic() + grace_seconds
        self.readiness.draining = True
        await self._server.not_ready()
        await self.completions.drain(grace_seconds)
        await self._native.detached.stop()
        # What is left to run over gRPC is short, or waits for a client that does not read.
        await self._server.stop(max(0.0, min(_CLOSE_SECONDS, deadline - time.monotonic())))
        await self._http.stop()
        await self._archive.close(max(_KEEP_SECONDS, deadline - time.monotonic()))
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.completions.ears.aclose()
        for channel in self._channels.values():
            await channel.close()
        await self._tracer.aclose(min(FLUSH_SECONDS, grace_seconds))

    async def _tell(self, ready: bool) -> None:
        await (self._server.ready() if ready else self._server.not_ready())


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("background_failed", exc_info=error)
