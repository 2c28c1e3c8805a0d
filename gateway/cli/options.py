"""Options that several commands share."""

import enum
from typing import Annotated

import typer

GATEWAY_ADDRESS = "127.0.0.1:50051"
TOOLS_ADDRESS = "127.0.0.1:50053"
ADDRESS_METAVAR = "HOST:PORT"

GatewayOption = Annotated[
    str,
    typer.Option(
        "--gateway", envvar="CONVEYOR_GATEWAY_ADDRESS", metavar=ADDRESS_METAVAR, help="where the gateway listens"
    ),
]
ToolsAddressOption = Annotated[
    str,
    typer.Option(
        "--tools-address",
        envvar="CONVEYOR_TOOLS_ADDRESS",
        metavar=ADDRESS_METAVAR,
        help="where the tool service listens",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON object and nothing else on standard output")]
DebugOption = Annotated[bool, typer.Option("--debug", help="show the traceback of a failure")]
TimeoutOption = Annotated[
    float | None, typer.Option("--timeout", min=0.001, metavar="SECONDS", help="give up after so long")
]


class Mode(enum.StrEnum):
    """When calls run, relative to the text that contains them."""

    SERIAL = "serial"
    PARALLEL = "parallel"
    ON_SEAL = "on_seal"
    PARTIAL = "partial"


def reachable(address: str) -> str:
    """The address to call where a service listens on `address`; where that is every interface, the loopback one."""
    host, _, port = address.rpartition(":")
    return f"{ {'0.0.0.0': '127.0.0.1', '': '127.0.0.1', '[::]': '[::1]'}.get(host, host) }:{port}"


def names(text: str) -> tuple[str, ...]:
    """The names in a comma-separated list."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
