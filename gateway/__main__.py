"""Runs the gateway: `python -m gateway --help`."""

import sys

import uvloop

from gateway.service import Gateway
from gateway.settings import GatewaySettings
from protos.rpc.server import until_stopped
from protos.rpc.telemetry import configure_logs


def main() -> None:
    """Serves until SIGTERM or SIGINT. Exits with 1 where a port is taken, with 2 where a setting is wrong."""
    settings = GatewaySettings.load(sys.argv[1:])
    configure_logs("gateway", settings.log_level)
    try:
        uvloop.run(_serve(settings))
    except OSError as error:
        raise SystemExit(f"gateway: {error}") from None


async def _serve(settings: GatewaySettings) -> None:
    gateway = Gateway(settings)
    await gateway.start()
    await until_stopped(gateway, settings.grace_seconds)


if __name__ == "__main__":
    main()
