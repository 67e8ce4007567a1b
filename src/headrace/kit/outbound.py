"""Requests that a user has us make must not reach what only we can reach (server-side request forgery, CWE-918).

A URL's host is resolved once, every address that it has must be public, and the connection goes to one of these very
addresses: a name that means something else a moment later (DNS rebinding) changes nothing. Private networks are
reached only where the operator lists them.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import SplitResult, urlsplit

from headrace.kit.addresses import Address

MAX_URL: Final = 8 * 1024
_PORTS: Final = {"http": 80, "https": 443}
_NAME: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?\Z")
_NUMBER: Final = re.compile(r"(0[xX][0-9a-fA-F]*|[0-9]+)\Z")
_UNSEEN: Final = re.compile(r"[\x00-\x20\x7f\\]")
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are the IPv4 address that is meant
# Beyond what `is_global` knows in every Python: what leads on to other addresses, or to machines of this network.
_NOT_PUBLIC_6: Final = tuple(map(IPv6Network, (
    "2001::/23",  # protocol assignments, Teredo (RFC 4380) among them
    "2001:db8::/32", "3fff::/20",  # documentation
    "2002::/16",  # 6to4: an IPv4 address follows
    "5f00::/16",  # segment routing
)))  # fmt: skip
_NOT_PUBLIC_4: Final = tuple(map(IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "240.0.0.0/4")))

Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class Refused(ValueError):
    """This must not be asked; the text says why, and holds no address that the name stands for."""


class Unresolved(OSError):
    """The host's name leads nowhere, now."""


@dataclass(frozen=True, slots=True)
class Place:
    """A URL in its parts, before its host is looked up. `host` is in ASCII, without brackets."""

    scheme: str
    host: str
    port: int
    path: str
    """With the query."""

    @property
    def authority(self) -> str:
        """The Host header: with the port where it is not the scheme's own (RFC 9110, 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def place_of(url: str) -> Place:
    """Raises Refused for what is no plain http or https URL."""
    if len(url) > MAX_URL:
        raise Refused(f"a URL has at most {MAX_URL} letters")
    if _UNSEEN.search(url):
        raise Refused("a URL has no spaces, control characters or backslashes")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise Refused(f"this is no URL: {exc}") from exc
    if parts.scheme not in _PORTS:
        raise Refused("a URL begins with http:// or https://")
    if "@" in parts.netloc:
        raise Refused("a URL holds no user name or password: send an Authorization header")
    if port == 0:
        raise Refused("there is no port 0")
    return Place(parts.scheme, _host(parts), port or _PORTS[parts.scheme], _path(parts))


def public(address: Address) -> bool:
    """Whether it is one of the internet, whatever is written inside it."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or (IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None)
        if inner is not None:
            return public(inner)
        return address in _GLOBAL_UNICAST and address.is_global and not any(address in net for net in _NOT_PUBLIC_6)
    return address.is_global and not address.is_multicast and not any(address in net for net in _NOT_PUBLIC_4)


def parse_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Raises ValueError that names what is no network."""
    return tuple(ip_network(text.strip()) for text in texts if text.strip())


async def _resolve(host: str, port: int) -> Sequence[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as exc:  # socket.gaierror
        raise Unresolved(f"{host} cannot be looked up: {exc.strerror or exc}") from exc
    except UnicodeError as exc:
        raise Refused("the host's name is too long") from exc
    return [str(entry[4][0]) for entry in found]


class Guard:
    """`networks` may be reached although they are private. Raises ValueError when one of them is none."""

    def __init__(self, networks: Sequence[str] = (), resolve: Resolve = _resolve) -> None:
        self._networks = parse_networks(networks)
        self._resolve = resolve

    async def addresses(self, place: Place) -> Sequence[Address]:
        """Where to connect to, and nowhere else. Raises Refused, and Unresolved."""
        found = _literal(place.host)
        addresses = [found] if found else [_address(text) for text in await self._resolve(place.host, place.port)]
        if not addresses:
            raise Unresolved(f"{place.host} has no address")
        if not all(map(self._may_be_reached, addresses)):
            raise Refused(f"{place.host} is not on the public internet; the settings can allow private networks")
        return list(dict.fromkeys(addresses))

    def _may_be_reached(self, address: Address) -> bool:
        plain = (isinstance(address, IPv6Address) and address.ipv4_mapped) or address
        return public(plain) or any(plain in network for network in self._networks)


def _host(parts: SplitResult) -> str:
    raw = parts.hostname or ""
    if parts.netloc.startswith("["):
        return raw if _literal(raw) else _no_host()
    try:
        host = raw.encode("idna").decode("ascii")  # digits of other scripts become plain ones here, before we look
    except UnicodeError:
        return _no_host()
    if not _NAME.match(host) or len(host) > 253:
        return _no_host()
    if _NUMBER.match(host.rstrip(".").rpartition(".")[2]) and _literal(host) is None:
        raise Refused("an IPv4 address is written as four decimal numbers: 192.0.2.1")  # not 0x7f.1, 017700000001
    return host


def _no_host() -> str:
    raise Refused("the URL has no valid host")


def _literal(host: str) -> Address | None:
    try:
        return None if "%" in host else ip_address(host)
    except ValueError:
        return None


def _address(text: str) -> Address:
    try:
        return ip_address(text.partition("%")[0])
    except ValueError as exc:
        raise Refused("the host's name stands for something that is no address") from exc


def _path(parts: SplitResult) -> str:
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query else path
