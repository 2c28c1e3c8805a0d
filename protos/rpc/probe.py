"""Asks a server for its health: `python -m protos.rpc.probe ADDRESS`.

Exit status 0 where it says SERVING within two seconds, otherwise 1 with the reason: what a container's health check
wants, through the image's own Python. Over TLS it is told the same as the command line: by the environment, which an
image's fixed command can be given, or by options.

    --ca FILE, CONVEYOR_CA                     the authorities of the server's certificate; without them, no TLS
    --client-cert FILE, CONVEYOR_CLIENT_CERT   the certificate to show, where the server wants one
    --client-key FILE, CONVEYOR_CLIENT_KEY     its private key
    --server-name NAME, CONVEYOR_SERVER_NAME   the name in the server's certificate, where it is not the address
"""

import argparse
import os
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pydantic import ValidationError

from protos.rpc.certificates import channel_credentials, expected_name
from protos.rpc.tls import NO_TLS, PeerTls

TIMEOUT_SECONDS = 2.0
_OPTIONS = {"ca": "ca", "cert": "client-cert", "key": "client-key", "name": "server-name"}


def probe(address: str, tls: PeerTls = NO_TLS) -> str:
    """The server's health by its name in `grpc.health.v1`, such as SERVING; or why there was no answer."""
    with _channel(address, tls) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}"
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def _channel(address: str, tls: PeerTls) -> grpc.Channel:
    if not tls.ca:
        return grpc.insecure_channel(address)
    return grpc.secure_channel(address, channel_credentials(tls), options=expected_name(tls))


def main() -> int:
    """Prints the health; gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m protos.rpc.probe", allow_abbrev=False)
    parser.add_argument("address")
    for key, option in _OPTIONS.items():
        variable = f"CONVEYOR_{option.upper().replace('-', '_')}"
        parser.add_argument(f"--{option}", dest=key, default=os.environ.get(variable, ""))
    given = vars(parser.parse_args())
    try:
        status = probe(given.pop("address"), PeerTls(**given))
    except ValidationError as error:
        status = error.errors()[0]["msg"]
    print(status)
    return int(status != "SERVING")


if __name__ == "__main__":
    sys.exit(main())
