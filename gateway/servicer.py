"""The gRPC service of the gateway."""

from collections.abc import AsyncGenerator

from gateway.completions import Completions
from gateway.tools import Catalogue
from protos.conveyor.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from protos.rpc import handler


class GatewayServicer(gateway_pb2_grpc.GatewayServiceServicer):
    """Answers `conveyor.gateway.v1.GatewayService`."""

    def __init__(self, completions: Completions, catalogue: Catalogue) -> None:
        self._completions = completions
        self._catalogue = catalogue

    @handler.streaming
    def Complete(self, request: gateway_pb2.CompleteRequest) -> AsyncGenerator[gateway_pb2.CompleteResponse, None]:
        """Completes a conversation; the call's end is the end of all work behind it."""
        return self._completions.run(request)

    @handler.unary
    async def Approve(self, request: gateway_pb2.ApproveRequest) -> gateway_pb2.ApproveResponse:
        """Allows or refuses a call that waits for it."""
        self._completions.approvals.approve(request)
        return gateway_pb2.ApproveResponse()

    @handler.unary
    async def ListTools(self, _request: gateway_pb2.ListToolsRequest) -> gateway_pb2.ListToolsResponse:
        """Lists the tools and formats, as last heard from the tool service."""
        return (await self._catalogue.listing()).response
