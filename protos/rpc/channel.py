"""Opens client channels."""

import json

import grpc

from protos.rpc.certificates import channel_credentials, expected_name
from protos.rpc.tls import NO_TLS, PeerTls

MESSAGE_BYTES = 8 * 1024 * 1024
KEEPALIVE_MS = 15_000  # of silence, before a peer is asked whether it is there
KEEPALIVE_TIMEOUT_MS = 5_000  # for it to answer
_SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": ""},
}

_OPTIONS = (
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.client_idle_timeout_ms", 2**31 - 1),  # never: an idle channel would stop watching its peers' health
)


def open_channel(address: str, tls: PeerTls = NO_TLS) -> grpc.aio.Channel:
    """A channel to `address`, `host:port` or any gRPC target.

    Where a name resolves to several replicas, calls go around those whose health says SERVING. A peer that vanished
    without a word is noticed within 20 s. Raises TlsError where a file of `tls` cannot be read. Must be called inside
    the running event loop.
    """
    target = address if "://" in address or address.startswith("unix:") else f"dns:///{address}"
    options = [*_OPTIONS, *_keepalive(), *expected_name(tls)]
    if tls.ca:
        return grpc.aio.secure_channel(target, channel_credentials(tls), options=options)
    return grpc.aio.insecure_channel(target, options=options)


def _keepalive() -> list[tuple[str, int]]:
    """The last one is what counts, and a minute by default: with the two above alone a black hole is not noticed."""
    return [
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ]
