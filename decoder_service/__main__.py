"""`python -m decoder_service`: serves one model. `--help` lists every setting."""

import asyncio
import os
import sys

import structlog
import torch
import uvloop

from decoder_service.assembly import assemble, describe, warm_up
from decoder_service.engine.thread import EngineStoppedError
from decoder_service.metrics import DecoderMetrics
from decoder_service.models.errors import ModelError
from decoder_service.models.loader import LoadedModel, load
from decoder_service.servicer import DecoderServicer
from decoder_service.settings import DecoderSettings
from protos.conveyor.decoder.v1 import decoder_pb2, decoder_pb2_grpc
from protos.rpc.channel import open_channel
from protos.rpc.server import Server, until_stopped
from protos.rpc.telemetry import configure_logs, serve_metrics

SERVICE = decoder_pb2.DESCRIPTOR.services_by_name["DecoderService"].full_name

log = structlog.get_logger()


async def serve(settings: DecoderSettings) -> None:
    """Loads the model, listens, is ready when the model has answered, drains on SIGTERM."""
    loaded = await asyncio.to_thread(_load, settings)
    async with open_channel(settings.tools_address) as tools:
        decoder = assemble(settings, loaded, tools)
        servicer = DecoderServicer(decoder, describe(settings, loaded, decoder), DecoderMetrics(decoder.engine.counts))
        del loaded  # the runner may have packed its weights, and then nobody needs them twice
        server = Server(
            settings.address,
            lambda grpc_server: decoder_pb2_grpc.add_DecoderServiceServicer_to_server(servicer, grpc_server),
            [SERVICE],
            reflect=settings.reflection,
        )
        await server.start()
        await warm_up(decoder)
        await server.ready()
        await until_stopped(server, settings.grace_seconds, decoder.engine.failed)
        await decoder.engine.stop()
        if decoder.engine.failed.is_set():
            raise EngineStoppedError


def _load(settings: DecoderSettings) -> LoadedModel:
    torch.set_num_threads(settings.threads or max(1, len(os.sched_getaffinity(0)) - 1))
    return load(settings.model, settings.dtype)


def main() -> int:
    """Runs the service; gives the exit status."""
    settings = DecoderSettings.load(sys.argv[1:])
    configure_logs("decoder", settings.log_level)
    try:
        serve_metrics(settings.metrics_address)
        uvloop.run(serve(settings))
    except EngineStoppedError:
        log.error("stopped", cause="the engine has failed")
        return 1
    except (OSError, ModelError) as error:
        log.error("cannot start", cause=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
