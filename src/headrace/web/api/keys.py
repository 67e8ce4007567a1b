"""API keys: make, list, revoke."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import Response

from headrace.model.principal import Permission
from headrace.web.caller import address_of
from headrace.web.deps import Caller, Has
from headrace.web.door import documented, router
from headrace.web.param import ask
from headrace.web.params import LIMIT
from headrace.web.params_identity import AFTER, KEY_PATH, page_of
from headrace.web.schemas_access import KeyAnswer, KeyPage, MadeKey, NewKey

routes = router("API keys")


@routes.post(
    "/v1/keys", status_code=201, response_model_exclude_none=True, summary="Make an API key", operation_id="make_key"
)
async def make(request: Request, asked: NewKey, caller: Caller, services: Has) -> MadeKey:
    """`key` is shown this once. Its grants are at most what you may do yourself, now and whenever it is used."""
    granted: dict[str, frozenset[Permission]] = {}
    for grant in asked.grants:
        granted[grant.bucket] = granted.get(grant.bucket, frozenset()) | frozenset(grant.permissions)
    made, plaintext = await services.keys.create(
        caller, asked.name, list(granted.items()), asked.expires_at, asked.rate_limit, address_of(request)
    )
    return MadeKey(key=plaintext, **KeyAnswer.fields_of(made, granted))


@routes.get(
    "/v1/keys",
    response_model_exclude_none=True,
    summary="List API keys",
    operation_id="list_keys",
    openapi_extra=documented(LIMIT, AFTER),
)
async def every(request: Request, caller: Caller, services: Has) -> KeyPage:
    """Your own that are not revoked; for administrators all. An API key sees itself."""
    limit = ask(request, LIMIT)
    found = await services.keys.list(caller, ask(request, AFTER), limit + 1)
    page, cursor = page_of(found, limit, lambda line: line[0].id)
    return KeyPage(keys=[KeyAnswer(**KeyAnswer.fields_of(key, grants)) for key, grants in page], next_cursor=cursor)


@routes.delete(
    "/v1/keys/{id}",
    status_code=204,
    summary="Revoke an API key",
    operation_id="revoke_key",
    openapi_extra=documented(path=[KEY_PATH]),
)
async def revoke(request: Request, caller: Caller, services: Has) -> Response:
    """For good; it is dead within 5 s."""
    await services.keys.revoke(caller, request.path_params["id"], address_of(request))
    return Response(status_code=204)
