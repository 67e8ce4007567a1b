"""Signing in and out. Who comes for the first time finds here how to make the first user."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import Form, Request
from pydantic import SecretStr
from starlette.responses import RedirectResponse, Response

from headrace.errors import Forbidden, HeadraceError, OverQuota, Unauthenticated
from headrace.web.api.root import address_here
from headrace.web.caller import address_of
from headrace.web.console import session
from headrace.web.console.local import local_path
from headrace.web.console.page import OPEN, Has, pages, visitor_if_any
from headrace.web.console.render import render
from headrace.web.deps import services_of
from headrace.web.errors import status_of

routes = pages("Signing in")
_LONGEST = 1_024
_NOTHING = SecretStr("")


@routes.get("/sign-in", openapi_extra=OPEN)
async def sign_in(request: Request) -> Response:
    """The form, or where one wanted to go when one is signed in."""
    wanted = local_path(request.query_params.get("next"))
    if await visitor_if_any(request) is not None:
        return RedirectResponse(wanted, status_code=303)
    return await _form(request, wanted)


@routes.post("/sign-in", openapi_extra=OPEN)
async def signed_in(
    request: Request,
    services: Has,
    username: Annotated[str, Form()] = "",
    password: Annotated[SecretStr, Form()] = _NOTHING,
    wanted: Annotated[str, Form(alias="next")] = "/",
) -> Response:
    """A session of its own, whatever cookie the browser brought: that one ends (session fixation, CWE-384)."""
    wanted, address, secret = local_path(wanted), address_of(request), password.get_secret_value()
    try:
        if not username or not secret or max(len(username), len(secret)) > _LONGEST:
            raise Unauthenticated("The user name or the password is wrong.")
        cookie = await services.browser.sign_in(username, secret, address)
    except (Unauthenticated, Forbidden, OverQuota) as exc:
        return await _form(request, wanted, exc, username[:_LONGEST])
    answer = RedirectResponse(wanted, status_code=303)
    await session.leave(request, address)
    session.put(answer, request, cookie)
    return answer


@routes.post("/sign-out")
async def sign_out(request: Request) -> Response:
    await session.leave(request, address_of(request))
    answer = RedirectResponse("/sign-in?out", status_code=303)
    session.take(answer, request)
    return answer


async def _form(request: Request, wanted: str, error: HeadraceError | None = None, username: str = "") -> Response:
    services = services_of(request)
    answer = render(
        request,
        "sign_in.html",
        200 if error is None else status_of(error),
        wanted=wanted,
        error=error,
        username=username,
        signed_out="out" in request.query_params,
        provider=f"/v1/auth/oidc/login?next={quote(wanted, safe='')}" if services.oidc is not None else None,
        is_first=await services.registration.nobody_yet(),
        base=address_here(request),
    )
    if isinstance(error, OverQuota):
        answer.headers["retry-after"] = str(round(error.retry_after) or 1)
    return answer
