"""`python -m tool_service`: hosts tools. `--help` lists every setting."""

import asyncio
import sys

import structlog
import uvloop
from prometheus_client import CollectorRegistry

from protos.conveyor.tool.v1 import tool_pb2, tool_pb2_grpc
from protos.rpc.server import Draining, Server, until_stopped
from protos.rpc.telemetry import configure_logs, new_registry, serve_metrics
from protos.rpc.tracing import FLUSH_SECONDS, open_tracer
from tool_service.execution.host import ToolHost
from tool_service.metrics import ToolMetrics
from tool_service.servicer import ToolServicer
from tool_service.settings import ToolSettings
from tool_service.tools.loading import open_host
from tool_service.tools.sources import ToolLoadError

SERVICE = tool_pb2.DESCRIPTOR.services_by_name["ToolService"].full_name

log = structlog.get_logger()

CLOSE_SECONDS = 5.0  # for interpreters and their folders to go


async def serve(settings: ToolSettings, registry: CollectorRegistry) -> None:
    """Loads the tools, listens, drains on SIGTERM."""
    tracer = open_tracer("tools", settings)
    try:
        async with open_host(settings) as host:
            await _serve(ToolServicer(host, settings, ToolMetrics(registry), tracer), host, settings)
    finally:
        await tracer.aclose(min(FLUSH_SECONDS, settings.grace_seconds))


async def _serve(servicer: ToolServicer, host: ToolHost, settings: ToolSettings) -> None:
    server = Server(
        settings.address,
        lambda grpc_server: tool_pb2_grpc.add_ToolServiceServicer_to_server(servicer, grpc_server),
        [SERVICE],
        reflect=settings.reflection,
        tls=settings.tls,
    )
    await server.start()
    warming = asyncio.create_task(host.warm_up())
    await server.ready()
    await until_stopped(Draining(server, servicer.drain), settings.grace_seconds)
    await servicer.idle(CLOSE_SECONDS)
    warming.cancel()


def main() -> int:
    """Runs the service; gives the exit status."""
    settings = ToolSettings.load(sys.argv[1:])
    configure_logs("tools", settings.log_level)
    registry = new_registry()
    try:
        serve_metrics(settings.metrics_address, registry)
        uvloop.run(serve(settings, registry))
    except (OSError, ToolLoadError) as error:
        log.error("cannot start", cause=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
