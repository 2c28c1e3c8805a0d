"""Asks a server for its health: `python -m protos.rpc.probe ADDRESS`.

Exit status 0 where it says SERVING within two seconds, otherwise 1 with the reason: what a container's health check
wants, through the image's own Python.
"""

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

TIMEOUT_SECONDS = 2.0


def probe(address: str) -> str:
    """The server's health by its name in `grpc.health.v1`, such as SERVING; or why there was no answer."""
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}"
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python -m {__spec__.name} ADDRESS")
    status = probe(sys.argv[1])
    print(status)
    sys.exit(status != "SERVING")
