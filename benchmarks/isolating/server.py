"""The decoder's servicer on a free port of loopback, with its engine in a thread or in a process of its own.

Says its port on standard output when the model has answered, and serves until standard input ends.
"""

import argparse
import asyncio
import os
import sys
from contextlib import AsyncExitStack

import uvloop

from decoder_service.assembly import assemble, warm_up
from decoder_service.engine.client import EngineClient
from decoder_service.engine.hello import Hello
from decoder_service.engine.process import EngineProcess
from decoder_service.servicer import DecoderServicer
from decoder_service.settings import DecoderSettings
from protos.conveyor.decoder.v1 import decoder_pb2, decoder_pb2_grpc
from protos.rpc.channel import open_channel
from protos.rpc.server import Server

VARIANTS = ("thread", "process")
NO_TOOLS = "127.0.0.1:1"  # nobody asks them


class NoMetrics:
    """Counts nothing."""

    def observe(self, event: object) -> None:
        """Takes an event."""


async def serve(variant: str, settings: DecoderSettings, answers: int) -> None:
    """Says its port on the descriptor `answers`; until standard input ends."""
    async with AsyncExitStack() as stack:
        engine, hello = await (_in_thread if variant == "thread" else _in_process)(settings, stack)
        decoder = assemble(engine, hello, await stack.enter_async_context(open_channel(NO_TOOLS)))
        await warm_up(decoder)
        servicer = DecoderServicer(decoder, decoder_pb2.GetModelResponse(), NoMetrics())  # type: ignore[arg-type]
        server = Server(
            "127.0.0.1:0", lambda grpc: decoder_pb2_grpc.add_DecoderServiceServicer_to_server(servicer, grpc), []
        )
        await server.start()
        stack.push_async_callback(server.stop, 0)
        await server.ready()
        os.write(answers, f"{server.port}\n".encode())
        await asyncio.to_thread(sys.stdin.read)


async def _in_process(settings: DecoderSettings, stack: AsyncExitStack) -> tuple[EngineClient, Hello]:
    process = await EngineProcess.start(settings)
    stack.push_async_callback(process.stop)
    hello, client = await process.loaded(settings.max_running + settings.max_waiting)
    return client, hello


async def _in_thread(settings: DecoderSettings, stack: AsyncExitStack) -> tuple[EngineClient, Hello]:
    from benchmarks.isolating.thread_engine import ThreadEngine  # torch, which the other variant's process has not
    from decoder_service.engine.building import load_engine

    engine, compiler, hello = await asyncio.to_thread(load_engine, settings)
    client = await ThreadEngine.start(engine, compiler, settings.max_running + settings.max_waiting)
    stack.push_async_callback(client.stop)
    return client, hello


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser()
    parser.add_argument("variant", choices=VARIANTS)
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--switch-interval", type=float, default=sys.getswitchinterval())
    options = parser.parse_args()
    sys.setswitchinterval(options.switch_interval)
    answers = os.dup(1)  # what libraries print on standard output goes to standard error
    os.dup2(2, 1)
    given = {"model": options.model, "threads": options.threads}
    uvloop.run(serve(options.variant, DecoderSettings.model_validate(given), answers))


if __name__ == "__main__":
    main()
