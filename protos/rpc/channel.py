"""Opens client channels."""

import json

import grpc

MESSAGE_BYTES = 8 * 1024 * 1024
KEEPALIVE_MS = 15_000  # of silence, before a peer is asked whether it is there
KEEPALIVE_TIMEOUT_MS = 5_000  # for it to answer
_SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": ""},
}


def open_channel(address: str) -> grpc.aio.Channel:
    """A channel to `address`, `host:port` or any gRPC target.

    Where a name resolves to several replicas, calls go around those whose health says SERVING. A peer that vanished
    without a word is noticed within 20 s. Must be called inside the running event loop.
    """
    target = address if "://" in address or address.startswith("unix:") else f"dns:///{address}"
    return grpc.aio.insecure_channel(
        target,
        options=[
            ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
            ("grpc.max_send_message_length", MESSAGE_BYTES),
            ("grpc.max_receive_message_length", MESSAGE_BYTES),
            ("grpc.keepalive_time_ms", KEEPALIVE_MS),
            ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
            # What counts in the end, and a minute by default: with the two above alone a black hole is not noticed.
            ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_MS),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.max_reconnect_backoff_ms", 2_000),
            ("grpc.client_idle_timeout_ms", 2**31 - 1),  # never: an idle channel would stop watching its peers' health
        ],
    )
