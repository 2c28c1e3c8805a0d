"""Starts the services as child processes, waits until they are healthy, and stops them.

A child has its own process group, so a Ctrl-C on the terminal reaches only us, and it dies with us. Stop, in this
order: SIGTERM to every child, their grace and 2 s more for all of them together, SIGKILL to the process groups of the
late. A cancel of the stop, which is what a second Ctrl-C becomes, goes to SIGKILL at once.
"""

import asyncio
import enum
import errno
import os
import signal
import socket
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.cli.credentials import KEY_VARIABLE
from gateway.cli.failure import Failure, is_of_tls
from gateway.cli.log_lines import last_lines, readable
from protos.rpc.certificates import channel_credentials, expected_name
from protos.rpc.leash import leashed
from protos.rpc.tls import NO_TLS, PeerTls

_MARGIN_SECONDS = 2.0
_REAP_SECONDS = 5.0
_FOLLOW_SECONDS = 0.1
_RETRY_SECONDS = 0.05
_CLOSED_TRIES = 20  # one after the other: enough to know that a server closes each connection by intent
_LOG_LINES = 12
_CHANNEL = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 250),
)


class State(enum.StrEnum):
    """How far a service has come."""

    STARTING = "starting"
    LOADING = "loading"
    READY = "ready"


Report = Callable[[str, State], None]


@dataclass(frozen=True, slots=True)
class Service:
    """A service to run. `address` is where its health is asked, by `tls`; `grace_seconds` how long it may drain."""

    name: str
    command: tuple[str, ...]
    address: str
    grace_seconds: float = 10.0
    tls: PeerTls = NO_TLS


@dataclass(frozen=True, slots=True)
class _Child:
    service: Service
    process: Process
    log: Path
    ended: asyncio.Task[int]


class Services:
    """Child processes that live as long as this async context: `async with Services(…) as services: …`.

    Each logs to `logs/NAME.log`; `echo` gets every log line as well. `killed` names, after the stop, those that did not
    end within their grace.
    """

    def __init__(self, services: Sequence[Service], logs: Path, *, echo: TextIO | None = None) -> None:
        self.services = tuple(services)
        self.logs = logs
        self.killed: tuple[str, ...] = ()
        self._children: list[_Child] = []
        self._echo = echo
        self._followers = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def echoes(self) -> bool:
        """Whether log lines are shown as they come."""
        return self._echo is not None

    @property
    def process_ids(self) -> dict[str, int]:
        """The process of each service."""
        return {child.service.name: child.process.pid for child in self._children}

    async def start(self) -> None:
        """Starts every process. Where one cannot be started, none is left running."""
        self.logs.mkdir(parents=True, exist_ok=True)
        try:
            for service in self.services:
                self._children.append(await _launch(service, self.logs / f"{service.name}.log"))
        except BaseException:
            await self.stop()
            raise
        if self._echo is not None:
            for child in self._children:
                await self._followers.enter_async_context(_Follower(child, self._echo))

    async def wait_healthy(self, report: Report = lambda name, state: None) -> None:
        """Returns when every service says SERVING; `report` is told what changes. Raises `Failure` when one ends."""
        healthy = asyncio.gather(*(_until_serving(service, report) for service in self.services))
        death = asyncio.ensure_future(self.wait_ended())
        try:
            await asyncio.wait((healthy, death), return_when=asyncio.FIRST_COMPLETED)
            if death.done():
                await death
            await healthy
        finally:
            for task in (healthy, death):
                task.cancel()
            await asyncio.gather(healthy, death, return_exceptions=True)

    async def wait_ended(self) -> None:
        """Waits until a service ends, which none should by itself, and raises `Failure` with the end of its log."""
        await asyncio.wait({child.ended for child in self._children}, return_when=asyncio.FIRST_COMPLETED)
        raise _death(next(child for child in self._children if child.ended.done()))

    async def stop(self) -> None:
        """Drains every service and kills the late; see the module's text."""
        try:
            if self._children:
                await self._drain()
        finally:
            self.kill()
            if self._children:
                await asyncio.wait({child.ended for child in self._children}, timeout=_REAP_SECONDS)
            await self._followers.aclose()

    def kill(self) -> None:
        """Sends SIGKILL to whatever is left of each service's process group."""
        for child in self._children:
            with suppress(ProcessLookupError):
                os.killpg(child.process.pid, signal.SIGKILL)

    async def _drain(self) -> None:
        for child in self._children:
            if not child.ended.done():
                with suppress(ProcessLookupError):
                    child.process.terminate()
        longest = max(child.service.grace_seconds for child in self._children)
        await asyncio.wait({child.ended for child in self._children}, timeout=longest + _MARGIN_SECONDS)
        self.killed = tuple(child.service.name for child in self._children if not child.ended.done())


def free_addresses(count: int) -> list[str]:
    """Addresses on loopback with ports that nobody listens on now, all different."""
    with ExitStack() as sockets:
        bound = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for one in bound:
            one.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in bound]


def is_taken(address: str) -> bool:
    """Whether another process listens on `address`."""
    return bind_error(address) == errno.EADDRINUSE


def bind_error(address: str) -> int:
    """Why nobody can listen on `address`, as an errno; 0 where one can, and where only the service itself can tell."""
    host, _, port = address.rpartition(":")
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(
            host.strip("[]") or None, int(port), type=socket.SOCK_STREAM
        )[0]
    except (OSError, ValueError):
        return 0
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(target)
        except OSError as error:
            return error.errno or 0
    return 0


async def _launch(service: Service, log: Path) -> _Child:
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *leashed(signal.SIGTERM, *service.command),
            stdin=DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0,
            env={name: value for name, value in os.environ.items() if name != KEY_VARIABLE},  # a client's, and not ours
        )
    return _Child(service, process, log, asyncio.ensure_future(process.wait()))


async def _until_serving(service: Service, report: Report) -> None:
    report(service.name, State.STARTING)
    closed = 0
    async with _channel(service) as channel:
        while (ended := await _watch(health_pb2_grpc.HealthStub(channel), service, report)) is not None:
            closed = closed + 1 if "Socket closed" in ended else 0
            if service.tls.ca and (is_of_tls(ended) or closed == _CLOSED_TRIES):
                raise _distrusted(service, ended)
            await asyncio.sleep(_RETRY_SECONDS)
    report(service.name, State.READY)


def _channel(service: Service) -> grpc.aio.Channel:
    if not service.tls.ca:
        return grpc.aio.insecure_channel(service.address, options=_CHANNEL)
    options = (*_CHANNEL, *expected_name(service.tls))
    return grpc.aio.secure_channel(service.address, channel_credentials(service.tls), options=options)


async def _watch(stub: health_pb2_grpc.HealthStub, service: Service, report: Report) -> str | None:
    """Waits until it says SERVING: None. Where the connection breaks before that, or there is none, the reason."""
    # A call that waits for a connection is never told that TLS keeps failing.
    call = stub.Watch(health_pb2.HealthCheckRequest(), wait_for_ready=not service.tls.ca)
    try:
        async for response in call:
            if response.status == health_pb2.HealthCheckResponse.SERVING:
                return None
            report(service.name, State.LOADING)
    except grpc.aio.AioRpcError as error:
        return error.details() or ""
    return ""


def _distrusted(service: Service, details: str) -> Failure:
    cause = f"the {service.name} service at {service.address} and its callers do not trust each other: {details}"
    remedy = (
        "Its certificate must name that address, or what gateway.peer_tls.name says, and gateway.peer_tls.ca must "
        "vouch for it; its tls.client_ca must vouch for gateway.peer_tls.cert. For the gateway itself --server-name, "
        "--ca and --client-cert stand in their place."
    )
    return Failure(cause, remedy)


def _death(child: _Child) -> Failure:
    code = child.ended.result()
    how = f"ended with exit code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"
    lines = last_lines(child.log, _LOG_LINES)
    return Failure(f"the {child.service.name} service {how}", f"Its whole log is in {child.log}", details=lines)


class _Follower:
    """Copies a child's log to `echo` while the context lasts, and what is left of it at the end."""

    def __init__(self, child: _Child, echo: TextIO) -> None:
        self._name = child.service.name
        self._log = child.log.open(encoding="utf-8", errors="replace")
        self._partial = ""
        self._echo = echo

    async def __aenter__(self) -> None:
        self._task = asyncio.ensure_future(self._follow())

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        self._copy()
        self._log.close()

    async def _follow(self) -> None:
        while True:
            self._copy()
            await asyncio.sleep(_FOLLOW_SECONDS)

    def _copy(self) -> None:
        *lines, self._partial = (self._partial + self._log.read()).split("\n")
        for part in (part for line in lines for part in readable(line)):
            print(f"{self._name} | {part}", file=self._echo, flush=True)
