"""Health, which needs no key, among clients that do not read."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from protos.rpc.health import MAX_WATCHES
from protos.rpc.server import Server
from tests.integration.test_gateway_service import house
from tests.integration.window import closed_window

BOUND = 10.0  # for what comes at once, unless it never comes
WATCH = "/grpc.health.v1.Health/Watch"
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Server, health_pb2_grpc.HealthStub]]:
    server = Server("127.0.0.1:0", lambda _: None, ["a.Service"])
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            yield server, health_pb2_grpc.HealthStub(channel)
    finally:
        await server.stop(0)


async def test_a_watch_tells_every_change_and_the_end() -> None:
    async with asyncio.timeout(BOUND), served() as (server, stub):
        for service in ("", "a.Service"):
            watch = stub.Watch(health_pb2.HealthCheckRequest(service=service))
            assert (await watch.read()).status == NOT_SERVING
            await server.ready()
            assert (await watch.read()).status == SERVING
            assert (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status == SERVING
            await server.not_ready()
            assert (await watch.read()).status == NOT_SERVING
            watch.cancel()
        await server.ready()
        watch = stub.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == SERVING
        stopping = asyncio.create_task(server.stop(BOUND))
        assert (await watch.read()).status == NOT_SERVING
        assert await watch.read() is grpc.aio.EOF
        await stopping


async def test_a_service_that_there_is_not_is_unknown() -> None:
    async with asyncio.timeout(BOUND), served() as (_, stub):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.Check(health_pb2.HealthCheckRequest(service="other"))
        assert raised.value.code() == grpc.StatusCode.NOT_FOUND
        watch = stub.Watch(health_pb2.HealthCheckRequest(service="other"))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


async def test_a_watcher_that_does_not_read_holds_up_neither_the_others_nor_a_change() -> None:
    async with asyncio.timeout(BOUND), served() as (server, stub), closed_window(server.port) as deaf:
        await deaf.call(WATCH)
        watch = stub.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == NOT_SERVING
        await server.ready()
        assert (await watch.read()).status == SERVING


async def test_a_watcher_that_does_not_read_holds_up_neither_readiness_nor_the_end_of_a_gateway() -> None:
    async with asyncio.timeout(3 * BOUND), house() as running, closed_window(running.gateway.port) as deaf:
        await deaf.call(WATCH)
        await running.decoder_server.not_ready()
        await running.serving(False)
        await running.decoder_server.ready()
        await running.serving(True)
        began = time.monotonic()
        await running.gateway.stop(BOUND)
        assert time.monotonic() - began < BOUND  # its grace is for completions


async def test_a_connection_has_so_many_watches_and_others_have_theirs() -> None:
    async with asyncio.timeout(BOUND), served() as (server, stub), closed_window(server.port) as deaf:
        for _ in range(MAX_WATCHES):
            await deaf.call(WATCH)
        watches = [stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(MAX_WATCHES)]
        for watch in watches:
            assert (await watch.read()).status == NOT_SERVING
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.Watch(health_pb2.HealthCheckRequest()).read()
        assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        watches[0].cancel()
        answer = None
        while answer is None:  # until the server has seen it go
            try:
                answer = await stub.Watch(health_pb2.HealthCheckRequest()).read()
            except grpc.aio.AioRpcError as error:
                assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert answer.status == NOT_SERVING
