"""The three services as processes of their own, and clients of gateway and decoder."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc

from gateway.cli.plan import Flags, Plan
from gateway.cli.processes import Services, free_addresses
from protos.rpc.channel import MESSAGE_BYTES

OPTIONS = (("grpc.max_receive_message_length", MESSAGE_BYTES),)


@dataclass(frozen=True, slots=True)
class House:
    """Services that run. `http` and `metrics` are the gateway's and the decoder's, host:port."""

    services: Services
    gateway: grpc.aio.Channel
    decoder: grpc.aio.Channel
    http: str
    metrics: str
    logs: Path

    @property
    def process_ids(self) -> dict[str, int]:
        """The process of each service."""
        return self.services.process_ids


@contextlib.asynccontextmanager
async def open_house(model: str, folder: Path, settings: Mapping[tuple[str, str], object]) -> AsyncIterator[House]:
    """Starts them, and stops them with the block. Raises Failure where one does not start.

    `settings` are added by section and key.
    """
    gateway, decoder, tools, http, metrics = free_addresses(5)
    flags: Flags = {
        ("gateway", "address"): gateway,
        ("gateway", "http-address"): http,
        ("decoder", "address"): decoder,
        ("decoder", "metrics-address"): metrics,
        ("decoder", "log-level"): "debug",  # it says when each completion began
        ("decoder", "model"): model,
        ("tools", "address"): tools,
        ("tools", "metrics-address"): "",
        ("tools", "state-folder"): str(folder / "state"),
        ("tools", "modules"): "benchmarks.passing.tools",
        **{key: str(value) for key, value in settings.items()},
    }
    logs = folder / "logs"
    services = Services(Plan(flags).services(), logs)
    async with (
        services,
        grpc.aio.insecure_channel(gateway, options=OPTIONS) as to_gateway,
        grpc.aio.insecure_channel(decoder, options=OPTIONS) as to_decoder,
    ):
        await services.wait_healthy()
        yield House(services, to_gateway, to_decoder, http, metrics, logs)
