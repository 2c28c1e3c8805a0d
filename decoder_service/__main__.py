"""`python -m decoder_service`: serves one model. `--help` lists every setting."""

import sys
from contextlib import AsyncExitStack

import structlog
import uvloop
from prometheus_client import CollectorRegistry

from decoder_service.engine.process import EngineProcess, EngineStoppedError
from decoder_service.models.errors import ModelError
from decoder_service.settings import DecoderSettings
from protos.rpc.telemetry import configure_logs, new_registry, serve_metrics

log = structlog.get_logger()


async def serve(settings: DecoderSettings, registry: CollectorRegistry) -> None:
    """Starts the engine, listens, is ready when the model has answered, drains on SIGTERM.

    Raises EngineStoppedError when the engine has ended by itself.
    """
    async with AsyncExitStack() as stack:
        process = await EngineProcess.start(settings)
        stack.push_async_callback(process.stop)
        # What takes a second to import comes in while the engine's process loads.
        from decoder_service.assembly import assemble, describe, warm_up
        from decoder_service.metrics import DecoderMetrics
        from decoder_service.servicer import DecoderServicer
        from protos.conveyor.decoder.v1 import decoder_pb2, decoder_pb2_grpc
        from protos.rpc.channel import open_channel
        from protos.rpc.server import Draining, Server, until_stopped
        from protos.rpc.tracing import FLUSH_SECONDS, open_tracer

        hello, engine = await process.loaded(settings.max_running + settings.max_waiting)
        tracer = open_tracer("decoder", settings)
        stack.push_async_callback(tracer.aclose, min(FLUSH_SECONDS, settings.grace_seconds))
        channel = await stack.enter_async_context(open_channel(settings.tools_address, settings.peer_tls))
        decoder = assemble(engine, hello, channel, tracer)
        stack.push_async_callback(decoder.feeds.aclose)
        servicer = DecoderServicer(decoder, describe(settings, hello), DecoderMetrics(engine, registry))
        server = Server(
            settings.address,
            lambda grpc_server: decoder_pb2_grpc.add_DecoderServiceServicer_to_server(servicer, grpc_server),
            [decoder_pb2.DESCRIPTOR.services_by_name["DecoderService"].full_name],
            reflect=settings.reflection,
            tls=settings.tls,
        )
        await server.start()
        await warm_up(decoder)
        await server.ready()
        await until_stopped(Draining(server, servicer.drain), settings.grace_seconds, engine.failed)


def main() -> int:
    """Runs the service; gives the exit status."""
    settings = DecoderSettings.load(sys.argv[1:])
    configure_logs("decoder", settings.log_level)
    registry = new_registry()
    try:
        serve_metrics(settings.metrics_address, registry)
        uvloop.run(serve(settings, registry))
    except KeyboardInterrupt:
        return 130  # while the model was loaded; later a signal drains
    except EngineStoppedError as error:
        log.error("stopped", cause=str(error))
        return 1
    except (OSError, ModelError) as error:
        log.error("cannot start", cause=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
