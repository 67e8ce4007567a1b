"""What routes ask for by type: the services, who is asking, the bucket that they may read or manage."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from headrace.model.bucket import Bucket
from headrace.model.principal import Permission, Principal
from headrace.services import Services

PRINCIPAL_KEY = "headrace.principal"


def services_of(request: Request) -> Services:
    """All that the doors may call."""
    found: Services = request.app.state.services
    return found


async def services(request: Request) -> Services:
    """The same as a dependency: async, since FastAPI calls plain functions in a thread."""
    return services_of(request)


async def authenticate(request: Request) -> Principal:
    """Who is asking; raises Unauthenticated. Remembered for the request and its log line."""
    known: Principal | None = request.scope.get(PRINCIPAL_KEY)
    if known is None:
        authenticator = services_of(request).authenticator
        header = _authorization(request)
        known = authenticator.cached(header) if header is not None else None
        if known is None:
            known = await authenticator.authenticate(None if header is None else header.decode("latin-1"))
        request.scope[PRINCIPAL_KEY] = known
    return known


def _authorization(request: Request) -> bytes | None:
    for name, value in request.scope["headers"]:
        if name == b"authorization":
            return bytes(value)
    return None


async def _bucket(request: Request, permission: Permission) -> Bucket:
    found = services_of(request)
    name = request.path_params["bucket"]
    bucket = found.buckets.cached(name) or await found.buckets.resolve(name)
    found.require(await authenticate(request), bucket, permission)
    return bucket


async def readable(request: Request) -> Bucket:
    """The bucket of the path, which the caller may read: else 404 (or 403 when they may see it)."""
    return await _bucket(request, Permission.READ)


async def _admin(request: Request) -> Principal:
    principal = await authenticate(request)
    services_of(request).require_admin(principal)
    return principal


Has = Annotated[Services, Depends(services)]
Caller = Annotated[Principal, Depends(authenticate)]
Admin = Annotated[Principal, Depends(_admin)]
Readable = Annotated[Bucket, Depends(readable)]
