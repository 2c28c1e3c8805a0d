"""What gRPC and HTTP show and check by the files of `tls.py`.

A server's files are looked at with every handshake and read again when they have changed, so that a certificate is
renewed without a restart; connections that are there keep theirs. Files that do not fit leave the last good ones in
place, and the log says so: a renewal replaces two files, one after the other. What a caller shows is read when its
channel is opened: gRPC has no way to change it later.
"""

import ssl
from collections.abc import Callable

import grpc
import structlog

from protos.rpc.tls import PeerTls, ServerTls, TlsError, read
from protos.rpc.watched import WatchedFiles

log = structlog.get_logger()


def server_credentials(tls: ServerTls) -> grpc.ServerCredentials:
    """For the port of a gRPC server."""
    changed = _watch(tls)

    def fetch() -> grpc.ServerCertificateConfiguration | None:  # in a thread of gRPC's, before each handshake
        return _configuration(tls) if changed() else None

    # None for no change is gRPC's own rule, which its types forget.
    return grpc.dynamic_ssl_server_credentials(_configuration(tls), fetch, bool(tls.client_ca))  # type: ignore[arg-type]


def channel_credentials(tls: PeerTls) -> grpc.ChannelCredentials:
    """For a channel to servers that `tls.ca` vouches for."""
    own = (read(tls.key), read(tls.cert)) if tls.cert else (None, None)
    return grpc.ssl_channel_credentials(read(tls.ca), *own)


def expected_name(tls: PeerTls) -> tuple[tuple[str, str], ...]:
    """The option of a channel that says whose certificate it wants, where that is not its address's."""
    return (("grpc.ssl_target_name_override", tls.name),) if tls.name else ()


def http_context(tls: ServerTls) -> ssl.SSLContext:
    """For a server of HTTP."""
    changed, latest = _watch(tls), _context(tls)

    def renew(connection: ssl.SSLObject, _name: str | None, _context_of_it: ssl.SSLContext) -> None:
        nonlocal latest
        if changed():
            latest = _context(tls)
        connection.context = latest

    listening = _context(tls)
    listening.sni_callback = renew  # it is called with each handshake, whether the client names a server or not
    return listening


def _configuration(tls: ServerTls) -> grpc.ServerCertificateConfiguration:
    pairs = [(read(tls.key), read(tls.cert))]
    return grpc.ssl_server_certificate_configuration(pairs, read(tls.client_ca) if tls.client_ca else None)


def _context(tls: ServerTls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.cert, tls.key, password="")
    if tls.client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(tls.client_ca)
        _resume_nothing(context)
    return context


def _resume_nothing(context: ssl.SSLContext) -> None:
    """A session that is resumed shows no certificate again, so one from before the authorities changed would be let in.
    What is kept of sessions up to TLS 1.2 cannot be switched off."""
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    context.minimum_version = ssl.TLSVersion.TLSv1_3


def _watch(tls: ServerTls) -> Callable[[], bool]:
    """A function that says whether the files have changed since it was asked last, to others that fit."""
    files = WatchedFiles((tls.cert, tls.key, tls.client_ca))

    def changed() -> bool:
        if not files.changed():
            return False
        try:
            tls.check_files()
        except TlsError as error:
            log.error("certificate kept", cause=str(error))
            return False
        log.info("certificate renewed", file=tls.cert)
        return True

    return changed
