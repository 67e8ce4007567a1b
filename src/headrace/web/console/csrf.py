"""What changes something must come from a page of ours: the browser says so, and the token of the session is there.

Not one but both: an old browser may not say where a request comes from, and a token could be seen by somebody.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fastapi import Request

from headrace.errors import Forbidden
from headrace.web.console.session import csrf_of

if TYPE_CHECKING:
    from headrace.web.app import WebOptions

HEADER, FIELD = "x-csrf-token", "csrf"
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


async def check(request: Request, *, is_open: bool) -> None:
    """Raises Forbidden. An open page has no session, and so no token: there the origin alone has to do."""
    if not _is_ours(request):
        raise Forbidden(
            "This request did not come from a page of this server. If it is reached through a proxy, HEADRACE_BASE_URL "
            "has to be the address that is in the browser.",
            code="cross-site",
        )
    if not is_open and not hmac.compare_digest((await _sent(request)).encode("utf-8", "replace"), _right(request)):
        raise Forbidden("This page is out of date: load it again, and try once more.", code="csrf")


def _is_ours(request: Request) -> bool:
    """Fetch Metadata where there is some (over TLS and on this machine), and Origin, which every browser sends."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is None and origin is None:
        return False
    return site in (None, "same-origin") and (origin is None or _is_our_origin(request, origin))


def _is_our_origin(request: Request, origin: str) -> bool:
    options: WebOptions = request.app.state.options
    if origin in _origins(options.base_url):
        return True
    return urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower() != ""


def _origins(base_url: str) -> set[str]:
    parts = urlsplit(base_url)
    return {f"{parts.scheme}://{parts.netloc}"} if parts.netloc else set()


async def _sent(request: Request) -> str:
    token = request.headers.get(HEADER)
    if token is None and request.headers.get("content-type", "").split(";")[0].strip().lower() in _FORMS:
        found = (await request.form()).get(FIELD)  # kept by the request: the route reads the same form again
        token = found if isinstance(found, str) else None
    return token or ""


def _right(request: Request) -> bytes:
    """Never empty: a request without a session does not come this far."""
    return csrf_of(request).encode() or b"\0"
