"""`python -m tool_service`: hosts tools. `--help` lists every setting."""

import asyncio
import sys

import structlog
import uvloop

from protos.conveyor.tool.v1 import tool_pb2, tool_pb2_grpc
from protos.rpc.server import Draining, Server, until_stopped
from protos.rpc.telemetry import configure_logs, serve_metrics
from tool_service.execution.host import ToolHost
from tool_service.servicer import ToolServicer
from tool_service.settings import ToolSettings
from tool_service.tools.loading import open_host
from tool_service.tools.sources import ToolLoadError

SERVICE = tool_pb2.DESCRIPTOR.services_by_name["ToolService"].full_name

log = structlog.get_logger()

CLOSE_SECONDS = 5.0  # for interpreters and their folders to go


async def serve(settings: ToolSettings) -> None:
    """Loads the tools, listens, drains on SIGTERM."""
    async with open_host(settings) as host:
        await _serve(host, settings)


async def _serve(host: ToolHost, settings: ToolSettings) -> None:
    servicer = ToolServicer(host, settings)
    server = Server(
        settings.address,
        lambda grpc_server: tool_pb2_grpc.add_ToolServiceServicer_to_server(servicer, grpc_server),
        [SERVICE],
        reflect=settings.reflection,
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
    try:
        serve_metrics(settings.metrics_address)
        uvloop.run(serve(settings))
    except (OSError, ToolLoadError) as error:
        log.error("cannot start", cause=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
