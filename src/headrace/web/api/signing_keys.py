"""The keys that sign access tokens: the public halves for all, a new one for administrators."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import Response

from headrace.web.answers import JsonBytes, encode
from headrace.web.caller import address_of
from headrace.web.deps import Admin, Has
from headrace.web.door import documented, router
from headrace.web.param import ask
from headrace.web.params_identity import REVOKE
from headrace.web.schemas_access import KeySet, Rotated

routes = router("Signing in")


@routes.get(
    "/.well-known/jwks.json",
    response_model=KeySet,
    summary="The public keys of access tokens",
    operation_id="jwks",
    openapi_extra=documented(is_open=True),
)
async def jwks(services: Has) -> Response:
    """RFC 7517. A key stays here until the last token that it signed has expired."""
    # Five minutes: a new key signs at once, but whoever meets an unknown `kid` asks again.
    return JsonBytes(encode(await services.tokens.jwks()), headers={"cache-control": "public, max-age=300"})


@routes.post(
    "/v1/signing-keys/rotate",
    status_code=201,
    summary="Sign with a new key",
    operation_id="rotate_signing_key",
    openapi_extra=documented(REVOKE),
)
async def rotate(request: Request, admin: Admin, services: Has) -> Rotated:
    """For administrators. Tokens that are out stay good until they expire, unless the old keys are revoked (after a
    leak): then everybody refreshes, which works at once, and viewer tokens have to be made anew."""
    revoke = ask(request, REVOKE) == "true"
    return Rotated(kid=await services.tokens.rotate(admin, address_of(request), revoke=revoke))
