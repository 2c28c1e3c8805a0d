"""The decoder's servicer on a free port of loopback, with its engine in a thread or in a process of its own.

Says its port on standard output when the model has answered, and serves until standard input ends.
"""

import argparse
import asyncio
import os
import sys

import decoder_service  # isort: skip  # noqa: F401  # before torch
import torch
import uvloop
from transformers import AutoTokenizer

from benchmarks.isolating.process_engine import ProcessEngine
from decoder_service.assembly import assemble, warm_up
from decoder_service.completion import Decoder
from decoder_service.models.loader import load
from decoder_service.models.store import locate
from decoder_service.servicer import DecoderServicer
from decoder_service.settings import DecoderSettings
from decoder_service.text.template import ChatTemplate
from protos.conveyor.decoder.v1 import decoder_pb2, decoder_pb2_grpc
from protos.conveyor.tool.v1 import tool_pb2_grpc
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
    async with open_channel(NO_TOOLS) as tools:
        if variant == "thread":
            torch.set_num_threads(settings.threads)
            decoder = assemble(settings, await asyncio.to_thread(load, settings.model, settings.dtype), tools)
        else:
            decoder = await _isolated(settings, tool_pb2_grpc.ToolServiceStub(tools))
        await warm_up(decoder)
        servicer = DecoderServicer(decoder, decoder_pb2.GetModelResponse(), NoMetrics())  # type: ignore[arg-type]
        server = Server(
            "127.0.0.1:0", lambda grpc: decoder_pb2_grpc.add_DecoderServiceServicer_to_server(servicer, grpc), []
        )
        await server.start()
        await server.ready()
        os.write(answers, f"{server.port}\n".encode())
        await asyncio.to_thread(sys.stdin.read)
        await server.stop(0)
        await decoder.engine.stop()


async def _isolated(settings: DecoderSettings, tools: "tool_pb2_grpc.ToolServiceAsyncStub") -> Decoder:
    """This process needs the text side only."""
    engine = ProcessEngine(settings)
    template = ChatTemplate(AutoTokenizer.from_pretrained(locate(settings.model)))
    return Decoder(
        engine=engine,  # type: ignore[arg-type]
        template=template,
        grammars=None,  # type: ignore[arg-type]
        tools=tools,
        context=await engine.ready(),
    )


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
