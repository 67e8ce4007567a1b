"""One HTTP request to where a Guard lets us, with everything bounded: time, headers, and how much of a body is read.

Redirects are not followed, proxies of the environment not used, and nothing is unpacked: a small answer stays small.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Final

from headrace.kit.addresses import Address
from headrace.kit.outbound import Guard, Place, Refused, place_of

if TYPE_CHECKING:
    import httpx2

MAX_BODY: Final = 64 * 1024
_ADDRESSES: Final = 3  # tried one after the other, as long as nothing was sent
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}\Z")
_VALUE: Final = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]{0,8192}\Z")
_OURS: Final = frozenset((
    "host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer", "expect",
    "proxy-authorization", "accept-encoding",
))  # fmt: skip


class Unanswered(Exception):
    """No answer came, for a reason that may pass; the request may have arrived all the same."""


@dataclass(frozen=True, slots=True)
class Request:
    """`timeout`: seconds for all of it."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers` have lower-case names. `is_whole`: the body had no more than what is here."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_whole: bool


async def exchange(guard: Guard, request: Request) -> Answer:
    """Raises Refused for what must not be asked, and Unanswered."""
    import httpx2

    place = place_of(request.url)
    _require_sound(request)
    try:
        async with asyncio.timeout(request.timeout):
            return await _try_each(await guard.addresses(place), place, request)
    except TimeoutError as exc:
        raise Unanswered(f"no answer from {place.authority} within {request.timeout:g} s") from exc
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ssl.SSLError) as exc:
        raise Unanswered(f"{place.authority} cannot be asked: {_reason(exc)}") from exc


async def _try_each(addresses: Sequence[Address], place: Place, request: Request) -> Answer:
    import httpx2

    tried = addresses[:_ADDRESSES]
    for address in tried[:-1]:
        try:
            return await _ask(address, place, request)
        except httpx2.ConnectError:
            continue
    return await _ask(tried[-1], place, request)


async def _ask(address: Address, place: Place, request: Request) -> Answer:
    """A connection of its own: one that is kept would serve whatever other name has this address."""
    import httpx2

    where = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
    headers = {
        "Accept": "*/*", "User-Agent": "headrace", **request.headers,
        "Host": place.authority, "Accept-Encoding": "identity", "Connection": "close",
    }  # fmt: skip
    transport = httpx2.AsyncHTTPTransport(verify=_trust(), trust_env=False, retries=0)
    async with httpx2.AsyncClient(
        transport=transport, follow_redirects=False, trust_env=False, timeout=request.timeout
    ) as client:
        url = f"{place.scheme}://{where}:{place.port}{place.path}"
        asked = client.build_request(
            request.method, url, headers=headers, content=request.body or None,
            extensions={"sni_hostname": place.host, "timeout": httpx2.Timeout(request.timeout).as_dict()},
        )  # fmt: skip
        answer = await client.send(asked, stream=True)
        try:
            return await _read(answer)
        finally:
            await answer.aclose()


async def _read(answer: httpx2.Response) -> Answer:
    body = bytearray()
    async for part in answer.aiter_raw():
        body += part
        if len(body) > MAX_BODY:
            break
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Answer(answer.status_code, headers, bytes(body[:MAX_BODY]), len(body) <= MAX_BODY)


@lru_cache(1)
def _trust() -> ssl.SSLContext:
    """Read once: it takes 20 ms. SSL_CERT_FILE names authorities of one's own, as everywhere here."""
    import httpx2

    return httpx2.create_ssl_context()


def _require_sound(request: Request) -> None:
    if not _TOKEN.match(request.method):
        raise Refused("the method is no word")
    for name, value in request.headers.items():
        if not _TOKEN.match(name) or not _VALUE.match(value) or not value.isascii():
            raise Refused(f"the header {name[:64]!r} is not valid")
        if name.lower() in _OURS:
            raise Refused(f"the header {name} is set by Headrace")


def _reason(exc: BaseException) -> str:
    return str(exc) or type(exc).__name__
