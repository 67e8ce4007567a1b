"""Signing in through an OpenID provider: the code flow with PKCE, for browsers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from headrace.auth.oidc import Arrived, Oidc
from headrace.errors import NotFound, Unauthenticated
from headrace.services import Services
from headrace.web.answers import JsonBytes, encode
from headrace.web.caller import address_of
from headrace.web.console import session
from headrace.web.console.local import local_path
from headrace.web.deps import Has, services_of
from headrace.web.door import documented, router
from headrace.web.errors import SHOW_KEY
from headrace.web.param import ask
from headrace.web.params_identity import OIDC_CODE, OIDC_ERROR, OIDC_ISS, OIDC_NEXT, OIDC_STATE
from headrace.web.schemas_accounts import TokenAnswer

if TYPE_CHECKING:
    from headrace.web.app import WebOptions

routes = router("Signing in")
COOKIE = "headrace_oidc"
_PATH = "/v1/auth/oidc"
_NEXT_CHARACTERS = 1_024  # the cookie that it travels in may have 4,096, and is sealed
_COOKIE_SECONDS = 600  # as long as someone may take at the provider


class _Scope(TypedDict):
    path: str
    httponly: bool
    samesite: Literal["lax"]
    secure: bool


@routes.get(
    f"{_PATH}/login",
    status_code=302,
    response_class=RedirectResponse,
    summary="Sign in through the OpenID provider",
    operation_id="oidc_login",
    openapi_extra=documented(OIDC_NEXT, is_open=True),
)
async def login(request: Request, services: Has) -> Response:
    """Sends the browser there, with a cookie that ties the answer to this browser."""
    url, state = await _oidc(services).begin(_wanted(request))
    answer = RedirectResponse(url, status_code=302)
    answer.set_cookie(COOKIE, state, max_age=_COOKIE_SECONDS, **_scope(request))
    return answer


@routes.get(
    f"{_PATH}/callback",
    response_model=TokenAnswer,
    summary="Come back from the OpenID provider",
    operation_id="oidc_callback",
    openapi_extra=documented(OIDC_CODE, OIDC_STATE, OIDC_ISS, OIDC_ERROR, is_open=True, strict=False),
)
async def callback(request: Request, services: Has) -> Response:
    """Where the provider sends the browser back to. Answers as the login does, or opens the console when it was begun
    there."""
    if "text/html" in request.headers.get("accept", ""):
        request.scope[SHOW_KEY] = request.app.state.show_error
    oidc = _oidc(services)
    if (error := ask(request, OIDC_ERROR)) is not None:
        raise Unauthenticated(f"The OpenID provider did not let you in: {error[:60]!r}.", code="oidc-refused")
    code, state = ask(request, OIDC_CODE) or "", ask(request, OIDC_STATE) or ""
    cookie = request.cookies.get(COOKIE, "")
    arrived = await oidc.finish(code, state, cookie, address_of(request), issuer=ask(request, OIDC_ISS))
    answer = await _entered(request, arrived)
    answer.delete_cookie(COOKIE, **_scope(request))  # only now: a strange answer must not spoil a sign-in under way
    return answer


def _wanted(request: Request) -> str | None:
    wanted = ask(request, OIDC_NEXT)
    if wanted is None:
        return None
    return local_path(wanted if len(wanted) <= _NEXT_CHARACTERS else None)


async def _entered(request: Request, arrived: Arrived) -> Response:
    services, address = services_of(request), address_of(request)
    if arrived.next is None:  # the tokens are in no URL, no cookie and no cache
        pair = await services.sign_in.begin_session(arrived.user, address, "oidc")
        return JsonBytes(encode(TokenAnswer.of(pair).model_dump()), headers={"cache-control": "no-store"})
    begun = await services.browser.begin(arrived.user, address, "oidc")
    await session.leave(request, address)
    answer = RedirectResponse(arrived.next, status_code=303)
    session.put(answer, request, begun)
    return answer


def _oidc(services: Services) -> Oidc:
    if services.oidc is None:
        raise NotFound("No OpenID provider is set up here: sign in with a password.", code="no-openid-provider")
    return services.oidc


def _scope(request: Request) -> _Scope:
    """Where the cookie goes: nowhere but back here, never to a script, and only over TLS where we have it."""
    options: WebOptions = request.app.state.options
    return {"path": _PATH, "httponly": True, "samesite": "lax", "secure": options.base_url.startswith("https:")}
