"""The cookie that a session lives in, and the token that forms of this session carry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

from fastapi import Request
from starlette.responses import Response

from headrace.auth.browser import csrf_token
from headrace.web.deps import services_of

if TYPE_CHECKING:
    from headrace.web.app import WebOptions

_NAME = "headrace_session"
_SECONDS = 400 * 86_400  # as long as browsers allow: when a session ends, the server knows


class _Scope(TypedDict):
    path: str
    httponly: bool
    samesite: Literal["lax"]
    secure: bool


def cookie_of(request: Request) -> str | None:
    """What the browser sent, good or not."""
    return request.cookies.get(name_of(request)) or None


def csrf_of(request: Request) -> str:
    """The token for forms; empty without a cookie."""
    cookie = cookie_of(request)
    return csrf_token(cookie) if cookie is not None else ""


def put(response: Response, request: Request, cookie: str) -> None:
    """Hand the session to the browser. Lax: whoever follows a link to us is still signed in."""
    response.set_cookie(name_of(request), cookie, max_age=_SECONDS, **_scope(request))


def take(response: Response, request: Request) -> None:
    """Let the browser forget it."""
    response.delete_cookie(name_of(request), **_scope(request))


async def leave(request: Request, address: str) -> None:
    """End the session that the browser brought, if it brought one."""
    cookie = cookie_of(request)
    if cookie is not None:
        await services_of(request).browser.end(cookie, address)


def name_of(request: Request) -> str:
    """With `__Host-` no other host of our domain can plant one (RFC 6265bis, 4.1.3.2); that needs TLS."""
    return f"__Host-{_NAME}" if _is_secure(request) else _NAME


def _scope(request: Request) -> _Scope:
    return {"path": "/", "httponly": True, "samesite": "lax", "secure": _is_secure(request)}


def _is_secure(request: Request) -> bool:
    options: WebOptions = request.app.state.options
    return options.base_url.startswith("https:")
