"""Which names and origins HTTP answers.

A page from anywhere can have its visitor's browser call the visitor's own machine. Three things keep it out:

* **Host.** A page can have its own name resolve to 127.0.0.1 once it is loaded (DNS rebinding) and then call us as its
  own server. The request still says the name, so names that are not ours are refused. An address cannot be pointed
  anywhere: where we listen on every interface, each address is ours.
* **Origin.** What is no mere look at something comes from our own pages or from origins that are named; browsers say on
  every such request which origin the page has.
* **No CORS headers**, so that no page of another origin can read what it was answered, but those that are named.
"""

import re
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import Scope

from gateway.failures import HttpFailure
from protos.rpc.exposure import host_of, is_loopback, is_wildcard, literal

ALL = "*"
_HOST = re.compile(r"(?:\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[^:\[\]]+))(?::\d*)?", re.ASCII)
_LOOKS = ("GET", "HEAD", "OPTIONS")


class Hosts:
    """The names of a server that listens on `address`, with `allowed` beside those that are its own."""

    def __init__(self, address: str, allowed: Sequence[str]) -> None:
        self._own = host_of(address)
        self._allowed = frozenset(name.lower() for name in allowed)

    def check(self, scope: Scope) -> None:
        """Raises HttpFailure 421 where a request is not for us."""
        host = Headers(scope=scope).get("host", "")
        if not self._is_ours(_without_port(host)):
            raise HttpFailure(
                421,
                "misdirected_request",
                f"this server is not {host[:100]!r}; names that it shall answer to are set as gateway.allowed_hosts",
            )

    def _is_ours(self, name: str) -> bool:
        if ALL in self._allowed or name in self._allowed or is_loopback(name):
            return True
        return bool(name) and (name == self._own or (is_wildcard(self._own) and literal(name) is not None))


class Origins:
    """The origins of pages that may send requests, beside our own: `scheme://host` or `scheme://host:port`."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = frozenset(allowed)

    def check(self, scope: Scope) -> None:
        """Raises HttpFailure 403 where a page of a foreign origin sends what may change something."""
        if scope["method"] in _LOOKS or ALL in self._allowed:
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin in self._allowed:
            return
        if origin is not None and origin.partition("://")[2].lower() != headers.get("host", "").lower():
            raise _foreign(f"pages of {origin[:100]!r} may not send requests here")
        if headers.get("sec-fetch-site") == "cross-site":
            raise _foreign("pages of other sites may not send requests here")


def check_host(name: str) -> str:
    """A name for `Hosts`. Raises ValueError where it is none."""
    if name == ALL or literal(name) is not None or re.fullmatch(r"[A-Za-z0-9._-]+", name, re.ASCII):
        return name
    raise ValueError(f"{name!r} must be a name or an address, without scheme and port, or *")


def check_origin(origin: str) -> str:
    """An origin for `Origins`, as browsers write it. Raises ValueError where it is none."""
    if origin == ALL or re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s/A-Z]+", origin, re.ASCII):
        return origin
    raise ValueError(f"{origin!r} must be scheme://host or scheme://host:port in small letters, without a path, or *")


def _foreign(problem: str) -> HttpFailure:
    return HttpFailure(403, "forbidden_origin", f"{problem}; origins that may are set as gateway.allowed_origins")


def _without_port(host: str) -> str:
    """The name or address in a Host header, in small letters without the brackets of IPv6; empty for what is none."""
    found = _HOST.fullmatch(host.lower())
    return "" if found is None else found["address"] or found["name"]
