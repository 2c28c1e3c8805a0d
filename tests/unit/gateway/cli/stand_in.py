"""A process that behaves like a service: serves gRPC health, logs JSON lines, and drains, or not, on SIGTERM.

Over TLS where it is given a certificate.

Run as `python stand_in.py [serve|load|stubborn|crash] --address HOST:PORT [--KEY VALUE]…`.
"""

import json
import os
import signal
import subprocess
import sys
from concurrent import futures
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


def log(event: str, **values: object) -> None:
    print(json.dumps({"event": event, "level": "info", **values}), file=sys.stderr, flush=True)


def serve(address: str, status: int, files: dict[str, bytes]) -> grpc.Server:
    servicer = health.HealthServicer()
    servicer.set("", status)
    server = grpc.server(futures.ThreadPoolExecutor(4))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    if files:
        pair, authority = (files["--tls.key"], files["--tls.cert"]), files.get("--tls.client-ca")
        server.add_secure_port(address, grpc.ssl_server_credentials([pair], authority, authority is not None))
    else:
        server.add_insecure_port(address)
    server.start()
    return server


def main() -> None:
    behaviour, arguments = sys.argv[1], sys.argv[2:]
    log("started", arguments=arguments)
    if behaviour == "crash":
        log("cannot load \x1b[31mthe model")
        sys.exit(3)
    # Blocked before there are threads and waited for below: a handler that sets an event may run inside that event's
    # own wait, which then holds the event's lock for ever.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    if behaviour == "stubborn":
        child = subprocess.Popen(["sleep", "60"])
        log("child", process_id=child.pid)
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    address = options["--address"]
    loading = behaviour == "load"
    server = serve(
        address,
        health_pb2.HealthCheckResponse.NOT_SERVING if loading else health_pb2.HealthCheckResponse.SERVING,
        {name: Path(path).read_bytes() for name, path in options.items() if name.startswith("--tls.")},
    )
    log("ready")
    signal.sigwait({signal.SIGTERM})
    if behaviour == "stubborn":
        signal.pause()  # only SIGKILL ends it
    log("drained")
    server.stop(0).wait(1)
    sys.stdout.flush()
    os._exit(0)  # a thread that serves a watch may be slow to end


main()
