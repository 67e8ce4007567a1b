"""IP addresses as people and limits mean them."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

Address = IPv4Address | IPv6Address


@lru_cache(4_096)
def parse_address(text: str) -> Address | None:
    """The address, IPv4 in IPv6 as IPv4 and without a zone; None for anything else."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def limited_as(address: str) -> str:
    """What shares the limit of one address: of IPv6, the 64 bits of network that every subscriber has to itself."""
    parsed = parse_address(address)
    if not isinstance(parsed, IPv6Address):
        return address if parsed is None else str(parsed)
    return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
