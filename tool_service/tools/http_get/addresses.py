"""Which addresses are public.

An address that was resolved is judged here before a connection to it is opened. Public is what the registries of IANA
call globally reachable unicast; an IPv6 address that stands for an IPv4 one is judged by that.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

_NAT64 = IPv6Network("64:ff9b::/96")
_UNICAST = IPv6Network("2000::/3")
# Not for the public either, and not known as such to every Python that we run on.
_RESERVED = [
    ip_network(block) for block in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "2001::/23", "3fff::/20")
]


def is_public(address: str) -> bool:
    """Whether an address, as text, belongs to the public internet."""
    found = ip_address(address)
    embedded = _embedded(found) if isinstance(found, IPv6Address) else None
    if embedded is not None:
        return is_public(str(embedded))
    if isinstance(found, IPv6Address) and found not in _UNICAST:
        return False
    special = found.is_multicast or found.is_reserved or any(found in block for block in _RESERVED)
    return found.is_global and not special


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a mapped, 6to4 or NAT64 address leads to."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
