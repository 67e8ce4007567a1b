"""Where a request comes from. `X-Forwarded-For` counts only as far as it was written by proxies that we trust."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from headrace.errors import Unusable
from headrace.kit.addresses import Address, parse_address

Network = IPv4Network | IPv6Network

UNKNOWN = "unknown"
"""The peer of a connection that has no address, such as a Unix socket."""
_HEADER = b"x-forwarded-for"
_MOST_HOPS = 32


def parse_trusted(setting: str) -> tuple[Network, ...]:
    """The networks of HEADRACE_TRUSTED_PROXIES: addresses or networks, separated by commas. Raises Unusable."""
    return tuple(_network(part.strip()) for part in setting.split(",") if part.strip())


def client_address(scope: MutableMapping[str, Any], trusted: tuple[Network, ...]) -> str:
    """The address that sent the request, IPv4 in IPv6 as IPv4.

    From the peer on, each trusted one is believed who came to it; the first that is not trusted is the client. What is
    no address there is the work of a client, or of a proxy that we do not understand: then the peer counts.
    """
    peer = scope.get("client")
    if not peer:
        return UNKNOWN
    address = parse_address(peer[0])
    if address is None:
        return UNKNOWN
    if not trusted or not _is_trusted(address, trusted):
        return str(address)
    return str(_behind(address, _hops(scope["headers"]), trusted))


def _behind(peer: Address, hops: Iterable[bytes], trusted: tuple[Network, ...]) -> Address:
    last = peer
    for hop in hops:
        address = parse_address(_without_port(hop.strip().decode("latin-1")))
        if address is None:
            return peer
        last = address
        if not _is_trusted(address, trusted):
            break
    return last


def _hops(headers: Iterable[tuple[bytes, bytes]]) -> Iterable[bytes]:
    """From the nearest to the farthest, over all such headers."""
    values = b",".join(value for name, value in headers if name == _HEADER)
    return reversed(values.rsplit(b",", _MOST_HOPS)[-_MOST_HOPS:]) if values.strip() else ()


def _without_port(hop: str) -> str:
    """`192.0.2.1:4711` and `[2001:db8::1]:4711` are written too."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


@lru_cache(4_096)
def _is_trusted(address: Address, trusted: tuple[Network, ...]) -> bool:
    return any(address in network for network in trusted)


def _network(part: str) -> Network:
    try:
        network = ip_network(part, strict=False)
    except ValueError:
        raise Unusable(
            f"a setting is wrong: HEADRACE_TRUSTED_PROXIES: {part[:60]!r} is neither an address nor a network; "
            "write for example 10.0.0.0/8,192.0.2.7"
        ) from None
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    return network if mapped is None else IPv4Network((mapped, max(0, network.prefixlen - 96)), strict=False)
