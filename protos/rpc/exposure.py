"""Whether strangers can reach what listens on an address."""

import ipaddress
from collections.abc import Mapping


def host_of(address: str) -> str:
    """The host in `host:port`, without the brackets of IPv6; empty for every interface."""
    return address.rpartition(":")[0].removeprefix("[").removesuffix("]").lower()


def is_loopback(host: str) -> bool:
    """Whether a name or address means this machine whoever resolves it: `localhost`, 127.0.0.0/8, `::1`."""
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, 6.3
        return True
    address = literal(host)
    return address is not None and (getattr(address, "ipv4_mapped", None) or address).is_loopback


def literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address that is written; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def is_wildcard(host: str) -> bool:
    """Whether it stands for every interface."""
    address = literal(host)
    return not host or (address is not None and address.is_unspecified)


def is_public(address: str) -> bool:
    """Whether others than this machine can reach what listens there. A name is taken for public: it may become so."""
    return not address.startswith("unix:") and not is_loopback(host_of(address))


def refuse_public(addresses: Mapping[str, str], remedy: str) -> None:
    """Raises ValueError where one of the addresses, by the names of their settings, is open to all. Empty: nowhere.

    `remedy`: how the service can be had to ask who calls.
    """
    for name, address in addresses.items():
        if address and is_public(address):
            raise ValueError(
                f"{name} = {address!r} can be reached from other machines, and whoever reaches it could use the model "
                f"and its tools. {remedy}, or listen on 127.0.0.1; where something else keeps strangers away, set "
                "allow_anyone."
            )
