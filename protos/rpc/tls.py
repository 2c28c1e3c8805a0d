"""Which files TLS is made of, and whether they fit together.

A server shows `cert`, and with `client_ca` wants to be shown a certificate by whoever calls: mutual TLS. A caller
checks the server by `ca`, and shows a `cert` of its own where it is asked for one. All files are PEM, and private keys
are not encrypted: nobody is there to type a pass phrase when a service starts.
"""

import ssl
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class TlsError(ValueError):
    """Files that cannot be used; the message names them."""


class ServerTls(BaseModel):
    """What a server shows and wants to be shown. Without `cert` there is no TLS."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cert: str = Field("", description="PEM file with the service's certificate and those above it; empty: no TLS")
    key: str = Field("", description="PEM file with its private key")
    client_ca: str = Field("", description="PEM file with the authorities of those who may call; empty: anybody may")

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.check_files()
        return self

    def check_files(self) -> None:
        """Raises TlsError where a file is missing, cannot be used or does not fit."""
        if bool(self.cert) != bool(self.key):
            raise TlsError("cert and key belong together: set both or none")
        if self.client_ca and not self.cert:
            raise TlsError("client_ca needs cert and key: without them there is no TLS")
        if self.cert:
            _check_pair(self.cert, self.key)
        if self.client_ca:
            _check_certificates(self.client_ca)


class PeerTls(BaseModel):
    """How a caller checks the servers it calls, and what it shows them. Without `ca` it speaks without TLS."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ca: str = Field("", description="PEM file with the authorities of the services that are called; empty: no TLS")
    cert: str = Field("", description="PEM file with the certificate that is shown to them")
    key: str = Field("", description="PEM file with its private key")
    name: str = Field("", description="the name in their certificates, where it is not that of their address")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.cert) != bool(self.key):
            raise TlsError("cert and key belong together: set both or none")
        if (self.cert or self.name) and not self.ca:
            raise TlsError("ca is missing: without it there is no TLS")
        if self.ca:
            _check_certificates(self.ca)
        if self.cert:
            _check_pair(self.cert, self.key)
        return self


NO_TLS = PeerTls()


def read(path: str) -> bytes:
    """What a file holds. Raises TlsError that names it."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise TlsError(f"cannot read {path}: {error.strerror}") from error


def _check_pair(cert: str, key: str) -> None:
    _check_certificates(cert)
    read(key)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password="")  # else it would ask for one
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsError(f"{key} is not the private key of {cert}") from error
        raise TlsError(f"{key} holds no private key that can be read; wanted is PEM without a pass phrase") from error


def _check_certificates(path: str) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=read(path).decode("ascii"))
    except (ssl.SSLError, UnicodeDecodeError) as error:
        raise TlsError(f"{path} holds no certificate in PEM") from error
