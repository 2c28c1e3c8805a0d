"""Options that several commands share."""

import enum
from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

from protos.rpc.settings import check_address, check_http_address

GATEWAY_ADDRESS = "127.0.0.1:50051"
GATEWAY_HTTP_ADDRESS = "127.0.0.1:8080"
TOOLS_ADDRESS = "127.0.0.1:50053"
ADDRESS_METAVAR = "HOST:PORT"
_LEAST_SECONDS = 0.001
_MOST_SECONDS = 86_400.0

Text = TypeVar("Text", str, list[str], None)


def fits(bits: int) -> Callable[[int | None], int | None]:
    """A check for an option: that the number fits a signed integer of so many bits."""
    most = 2 ** (bits - 1) - 1

    def check(value: int | None) -> int | None:
        if value is not None and not -most - 1 <= value <= most:
            raise typer.BadParameter(f"{value} is not in the range from {-most - 1} to {most}")
        return value

    return check


def utf8(value: Text) -> Text:
    """A check for an option or argument: that it is text."""
    try:
        "".join(value or ()).encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("not UTF-8") from None
    return value


def address(value: str) -> str:
    """A check for an option: that it is an address."""
    try:
        return check_address(value)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def http_address(value: str) -> str:
    """A check for an option: that it is an address of HTTP, which may begin with http:// or https://."""
    scheme, _, rest = value.rpartition("://")
    try:
        if scheme in ("", "http", "https") and rest.strip("/"):
            check_http_address(rest.rstrip("/"))
            return value
    except ValueError:
        pass
    raise typer.BadParameter(f"{value!r} is not host:port, http://host:port or https://host:port")


def duration(value: float | None) -> float | None:
    """A check for an option: that it is a time to wait for."""
    if value is not None and not _LEAST_SECONDS <= value <= _MOST_SECONDS:
        raise typer.BadParameter(f"{value:g} is not in the range from {_LEAST_SECONDS:g} to {_MOST_SECONDS:g}")
    return value


GatewayOption = Annotated[
    str,
    typer.Option(
        "--gateway",
        envvar="CONVEYOR_GATEWAY_ADDRESS",
        metavar=ADDRESS_METAVAR,
        callback=address,
        help="where the gateway listens",
    ),
]
GatewayHttpOption = Annotated[
    str,
    typer.Option(
        "--gateway-http",
        envvar="CONVEYOR_GATEWAY_HTTP_ADDRESS",
        metavar=ADDRESS_METAVAR,
        callback=http_address,
        help="where the gateway speaks HTTP",
    ),
]
ToolsAddressOption = Annotated[
    str,
    typer.Option(
        "--tools-address",
        envvar="CONVEYOR_TOOLS_ADDRESS",
        metavar=ADDRESS_METAVAR,
        callback=address,
        help="where the tool service listens",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON object and nothing else on standard output")]
DebugOption = Annotated[bool, typer.Option("--debug", help="show the traceback of a failure")]
TimeoutOption = Annotated[
    float | None, typer.Option("--timeout", metavar="SECONDS", callback=duration, help="give up after so long")
]


class Mode(enum.StrEnum):
    """When calls run, relative to the text that contains them."""

    SERIAL = "serial"
    PARALLEL = "parallel"
    ON_SEAL = "on_seal"
    PARTIAL = "partial"

    @property
    def on_the_wire(self) -> str:
        """Its name in the contracts."""
        return f"MODE_{self.name}"


def reachable(address: str) -> str:
    """The address to call where a service listens on `address`; where that is every interface, the loopback one."""
    host, _, port = address.rpartition(":")
    return f"{ {'0.0.0.0': '127.0.0.1', '': '127.0.0.1', '[::]': '[::1]'}.get(host, host) }:{port}"


def names(text: str) -> tuple[str, ...]:
    """The names in a comma-separated list."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
