"""What routes ask for by type: the services, who is asking, what they may read of a bucket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Request

from headrace.errors import Forbidden, HeadraceError
from headrace.model.principal import VIEWER, Principal
from headrace.model.view import View
from headrace.services import Services
from headrace.web.caller import address_of, credential_of
from headrace.web.positions import position_of

PRINCIPAL_KEY = "headrace.principal"
IDENTIFY_KEY = "headrace.identify"
"""In the scope of a request whose credential is no header: how to find out who is asking (pages of the console)."""
Identify = Callable[[Request], Awaitable[Principal]]
_NEVER_LIMITED = frozenset(("/health/live", "/health/ready"))  # an orchestrator would restart a busy server
FOR_VIEWERS_KEY = "headrace.for_viewers"
"""In the scope of a request: whether its route is marked as one that a viewer token opens. Unmarked, it is not."""


def services_of(request: Request) -> Services:
    """All that the doors may call."""
    found: Services = request.app.state.services
    return found


async def services(request: Request) -> Services:
    """The same as a dependency: async, since FastAPI calls plain functions in a thread."""
    return services_of(request)


async def authenticate(request: Request) -> Principal:
    """Who is asking; raises Unauthenticated, OverQuota, and Forbidden for a viewer token at a route that is not marked
    for it.

    Remembered for the request and its log line.
    """
    known: Principal | None = request.scope.get(PRINCIPAL_KEY)
    if known is None:
        gate = services_of(request).gate
        await limit_address(request)
        known = request.scope[PRINCIPAL_KEY] = await identify(request)
        _ = gate.admit(known, None) or await gate.enter(known, None)
    if (known.view is not None or known.kind == VIEWER) and not request.scope.get(FOR_VIEWERS_KEY):
        raise Forbidden("A viewer token reads the events of its bucket, and nothing else.", code="viewer-token")
    return known


async def limit_address(request: Request) -> None:
    """Count the request for the address that it comes from, if that is limited at all. Raises OverQuota."""
    gate = services_of(request).gate
    if gate.limits_addresses and request.url.path not in _NEVER_LIMITED:
        await gate.enter_address(address_of(request))


async def identify(request: Request) -> Principal:
    """Who is asking now, known for at most 5 s, whatever was so before: for what lasts longer than a credential."""
    asked: Identify | None = request.scope.get(IDENTIFY_KEY)
    if asked is not None:
        return await asked(request)
    authenticator = services_of(request).authenticator
    header = credential_of(request.scope["headers"])
    known = authenticator.cached(header) if header is not None else None
    return known or await authenticator.authenticate(None if header is None else header.decode("latin-1"))


async def readable(request: Request) -> View:
    """What the caller may read of the bucket of the path: 404 (or 403 when they may see it) when that is nothing."""
    found = services_of(request)
    name = request.path_params["bucket"]
    bucket = found.buckets.cached(name) or await found.buckets.resolve(name)
    view = found.view(await authenticate(request), bucket)
    after = position_of(request, "Headrace-Read-After", "send the `Headrace-Position` of a 201")
    return replace(view, read_after=after) if after else view


async def still_readable(request: Request, view: View) -> bool:
    """Whether the caller may go on reading so much of that bucket: a stream may outlast what it was opened with."""
    try:
        now = services_of(request).view(await identify(request), view.bucket)
    except HeadraceError:
        return False
    return view.within is not None or now.within is None


async def _admin(request: Request) -> Principal:
    principal = await authenticate(request)
    services_of(request).require_admin(principal)
    return principal


Has = Annotated[Services, Depends(services)]
Caller = Annotated[Principal, Depends(authenticate)]
Admin = Annotated[Principal, Depends(_admin)]
Readable = Annotated[View, Depends(readable)]
