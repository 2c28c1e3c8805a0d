"""Connections to addresses that were judged: a name is resolved once, and what was judged is what is connected to."""

import asyncio
import functools
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import httpcore
import httpx

from tool_service.execution.threads import start_thread
from tool_service.tools.http_get.failure import CannotFetch
from tool_service.tools.http_get.origin import Origin

CONNECT_SECONDS = 10.0
MAX_ADDRESS_COUNT = 4  # of a name's addresses, how many are tried

NOT_PUBLIC = (
    "is not a public address (the setting http_get.allow_private would allow it:"
    " CONVEYOR_TOOLS_HTTP_GET_ALLOW_PRIVATE=true)"
)

Resolver = Callable[[str, int], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True)
class Connection:
    """An open connection to `origin`, HTTP/1.1 or HTTP/2. Whoever has it closes it."""

    origin: Origin
    http: httpcore.AsyncHTTP11Connection | httpcore.AsyncHTTP2Connection
    stream: httpcore.AsyncNetworkStream

    @property
    def is_usable(self) -> bool:
        """Whether it may take a request. A server that has said something unasked, or closed it, has given it up.

        Seen in plain HTTP/1.1 alone: TLS and HTTP/2 have things to say of their own.
        """
        plain = self.origin.scheme == "http"
        return not self.http.is_closed() and not (plain and self.stream.get_extra_info("is_readable"))

    async def get(self, url: httpx.URL, headers: Mapping[str, str]) -> httpcore.Response:
        """Asks for a page; returns when its headers are there. Raises what httpcore raises."""
        target = httpcore.URL(scheme=url.raw_scheme, host=self.origin.host, port=self.origin.port, target=url.raw_path)
        fields = [("Host", self.origin.host_header), *headers.items()]
        return await self.http.handle_async_request(httpcore.Request("GET", target, headers=fields))

    async def aclose(self) -> None:
        """Closes its socket."""
        await self.http.aclose()


async def system_addresses(host: str, port: int) -> list[str]:
    """The addresses of a name, as the system resolves it. Raises `OSError`."""
    # In a thread of its own: a name server that does not answer must not fill the pool that others use.
    found = await start_thread(socket.getaddrinfo, {"host": host, "port": port, "type": socket.SOCK_STREAM})
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@functools.cache
def _default_tls() -> ssl.SSLContext:
    context = httpcore.default_ssl_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@dataclass(frozen=True, slots=True)
class Dialer:
    """Opens connections. `permits` judges an address; `refusal` says what to do about one that it refuses."""

    permits: Callable[[str], bool]
    refusal: str = NOT_PUBLIC
    addresses: Resolver = system_addresses
    tls: ssl.SSLContext = field(default_factory=_default_tls)

    async def dial(self, origin: Origin) -> Connection:
        """Resolves, judges, connects, and agrees on TLS. Raises `CannotFetch`."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                stream = await self._connect(origin, await self._permitted(origin))
                return await self._speak(origin, stream)
        except TimeoutError:
            raise CannotFetch(f"{origin.host} could not be reached within {CONNECT_SECONDS:g} s.") from None

    async def _permitted(self, origin: Origin) -> list[str]:
        try:
            found = await self.addresses(origin.host, origin.port)
        except (OSError, UnicodeError):
            raise CannotFetch(f"There is no host {origin.host}.") from None
        permitted = [address for address in found if self.permits(address)]
        if not permitted:
            raise CannotFetch(f"{origin.host} {self.refusal}.")
        return permitted[:MAX_ADDRESS_COUNT]

    async def _connect(self, origin: Origin, addresses: list[str]) -> httpcore.AsyncNetworkStream:
        seconds = CONNECT_SECONDS / len(addresses)
        for address in addresses:
            try:
                return await httpcore.AnyIOBackend().connect_tcp(address, origin.port, timeout=seconds)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        raise CannotFetch(f"{origin.host} takes no connection at port {origin.port}.")

    async def _speak(self, origin: Origin, stream: httpcore.AsyncNetworkStream) -> Connection:
        place = httpcore.Origin(origin.scheme.encode(), origin.host.encode(), origin.port)
        if origin.scheme == "http":
            return Connection(origin, httpcore.AsyncHTTP11Connection(place, stream), stream)
        try:
            secure = await stream.start_tls(self.tls, origin.host)
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            raise CannotFetch(f"{origin.host}: {_tls_problem(error)}.") from None
        except BaseException:
            await stream.aclose()
            raise
        agreed = secure.get_extra_info("ssl_object").selected_alpn_protocol()
        kind = httpcore.AsyncHTTP2Connection if agreed == "h2" else httpcore.AsyncHTTP11Connection
        return Connection(origin, kind(place, secure), secure)


def _tls_problem(error: Exception) -> str:
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not valid, {cause.verify_message}"
    return "it does not speak TLS"
