"""The route class of every page: stricter and earlier than FastAPI is by itself, as `Door` is for JSON.

In this order: whose session it is (none: off to the sign-in), whether what changes something comes from a page of ours
(403). A bearer token is never looked at here, and a cookie never at a JSON door.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from headrace.errors import HeadraceError, Unauthenticated
from headrace.model.principal import Principal
from headrace.web.console import csrf, failures
from headrace.web.console.session import cookie_of
from headrace.web.deps import FOR_VIEWERS_KEY, IDENTIFY_KEY, PRINCIPAL_KEY, Has, limit_address, services_of
from headrace.web.door import Route, documented
from headrace.web.errors import SHOW_KEY

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
_SAFE = ("GET", "HEAD")
OPEN = documented(is_open=True)
"""For `openapi_extra` of a page that needs no session."""


class Page(Route):
    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()
        is_open = (self.openapi_extra or {}).get("security") == []

        async def checked(request: Request) -> Response:
            request.scope[SHOW_KEY] = failures.show
            request.scope[FOR_VIEWERS_KEY] = False
            request.scope[IDENTIFY_KEY] = whose_session
            await (limit_address(request) if is_open else visitor(request))
            if request.method not in _SAFE:
                await csrf.check(request, is_open=is_open)
            return await handle(request)

        return checked


def pages(tag: str) -> APIRouter:
    """A router whose routes are pages: `routes = pages("Overview")`. They are in no API document."""
    return APIRouter(route_class=Page, tags=[tag], include_in_schema=False)


async def whose_session(request: Request) -> Principal:
    """Known for at most 5 s: also for streams, which may outlast the session. Raises Unauthenticated."""
    cookie = cookie_of(request)
    if cookie is None:
        raise Unauthenticated("Sign in first.")
    return await services_of(request).browser.principal_of(cookie)


async def visitor(request: Request) -> Principal:
    """Who looks at the page. Raises Unauthenticated, and OverQuota. Remembered for the request and its log line."""
    known: Principal | None = request.scope.get(PRINCIPAL_KEY)
    if known is None:
        gate = services_of(request).gate
        await limit_address(request)
        known = request.scope[PRINCIPAL_KEY] = await whose_session(request)
        _ = gate.admit(known, None) or await gate.enter(known, None)
    return known


async def visitor_if_any(request: Request) -> Principal | None:
    """For open pages: who is signed in, if anybody is."""
    if cookie_of(request) is None:
        return None
    try:
        return await whose_session(request)
    except Unauthenticated:
        return None


async def show_lost(request: Request, error: HeadraceError) -> Response:
    """The answer for an address that no route has, in the frame of whoever is signed in."""
    try:
        await visitor(request)
    except HeadraceError:
        request.scope.pop(PRINCIPAL_KEY, None)
    return failures.show(request, error)


Visitor = Annotated[Principal, Depends(visitor)]

__all__ = ["OPEN", "Has", "Page", "Visitor", "pages", "show_lost", "visitor", "visitor_if_any", "whose_session"]
