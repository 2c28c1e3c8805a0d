"""What a command shows to be let in: an API key, and over TLS a certificate; and how it knows whom it speaks to."""

import functools
import inspect
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import ValidationError

from protos.rpc.tls import NO_TLS, PeerTls

KEY_VARIABLE = "CONVEYOR_API_KEY"
_MAX_BYTES = 4096
_KEY = re.compile(r"[!-~]+", re.ASCII)  # what a header may hold, without spaces

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Credentials:
    """`key` is empty where none is sent; `tls` has no `ca` where a command speaks without TLS."""

    key: str = ""
    tls: PeerTls = NO_TLS

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What a call carries."""
        return (("authorization", f"Bearer {self.key}"),) if self.key else ()


_File = Path | None

_KeyFile = Annotated[
    _File, typer.Option("--key-file", metavar="FILE", help=f"a file with the API key [default: ${KEY_VARIABLE}]")
]
_Ca = Annotated[
    _File,
    typer.Option("--ca", envvar="CONVEYOR_CA", metavar="FILE", help="speak TLS with whom these authorities vouch for"),
]
_ClientCert = Annotated[
    _File, typer.Option("--client-cert", envvar="CONVEYOR_CLIENT_CERT", metavar="FILE", help="the certificate to show")
]
_ClientKey = Annotated[
    _File, typer.Option("--client-key", envvar="CONVEYOR_CLIENT_KEY", metavar="FILE", help="its private key")
]
_ServerName = Annotated[
    str | None,
    typer.Option(
        "--server-name", envvar="CONVEYOR_SERVER_NAME", metavar="NAME", help="the name in the certificate of the other"
    ),
]
_TLS = {"ca": _Ca, "client_cert": _ClientCert, "client_key": _ClientKey, "server_name": _ServerName}


def with_credentials(command: Callable[..., Result]) -> Callable[..., Result]:
    """Gives a command that takes `credentials` the options that make them, where it calls the gateway."""
    return _with_options(command, {"key_file": _KeyFile, **_TLS}, _for_gateway)


def with_tls(command: Callable[..., Result]) -> Callable[..., Result]:
    """The same where it calls the services behind the gateway, which know no API keys."""
    return _with_options(command, _TLS, _for_services)


def _with_options(
    command: Callable[..., Result], options: dict[str, Any], make: Callable[..., Credentials]
) -> Callable[..., Result]:
    @functools.wraps(command)
    def called(*arguments: Any, **values: Any) -> Result:
        chosen = {name: values.pop(name) for name in options}
        return command(*arguments, **values, credentials=make(**chosen))

    # typer reads a command's options from its signature and annotations.
    own, kind = inspect.signature(command), inspect.Parameter.KEYWORD_ONLY
    kept = [parameter for parameter in own.parameters.values() if parameter.name != "credentials"]
    added = [inspect.Parameter(name, kind, default=None, annotation=option) for name, option in options.items()]
    called.__signature__ = own.replace(parameters=[*kept, *added])  # type: ignore[attr-defined]  # inspect reads it
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in (*kept, *added)}
    return called


def _for_gateway(*, key_file: _File, **files: Any) -> Credentials:
    return Credentials(_key(key_file), _for_services(**files).tls)


def _for_services(*, ca: _File, client_cert: _File, client_key: _File, server_name: str | None) -> Credentials:
    given = {"ca": ca, "cert": client_cert, "key": client_key, "name": server_name}
    try:
        return Credentials(tls=PeerTls(**{name: str(value) for name, value in given.items() if value is not None}))
    except ValidationError as error:
        problem = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise typer.BadParameter(problem, param_hint="--ca, --client-cert, --client-key, --server-name") from None


def _key(file: _File) -> str:
    if file is None:
        return _checked(os.environ.get(KEY_VARIABLE, "").strip(), KEY_VARIABLE)
    try:
        with file.open("rb") as opened:
            key = opened.read(_MAX_BYTES).decode("utf-8", "replace").strip()
    except OSError as error:
        raise typer.BadParameter(f"cannot read {file}: {error.strerror}", param_hint="--key-file") from None
    if not key:
        raise typer.BadParameter(f"{file} is empty", param_hint="--key-file")
    return _checked(key, str(file))


def _checked(key: str, place: str) -> str:
    if key and not _KEY.fullmatch(key):
        raise typer.BadParameter(f"{place} holds no API key: wanted is one word, as `conveyor keys new NAME` prints it")
    return key
